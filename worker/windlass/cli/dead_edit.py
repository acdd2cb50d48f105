"""`windlass dlq edit`: change a dead letter and send it again, in one step."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from windlass.app import Windlass
from windlass.cli.dead_filters import Filters, find_letter, queues_option
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane.dead_edit import Edit, open_edit, read_edit, replay_edited
from windlass.errors import ConfigurationError

_SETTABLE = tuple(name for name in Edit.__struct_fields__ if name not in ("args", "kwargs"))


@click.command("edit")
@click.argument("message_id", metavar="ID")
@queues_option("Look in these queues only.")
@click.option("--args", "args_text", metavar="JSON", help="Positional arguments, a list.")
@click.option("--kwargs", "kwargs_text", metavar="JSON", help="Keyword arguments, an object.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=JSON",
    help=f"Another field; repeatable. Of: {', '.join(_SETTABLE)}.",
)
@click.option("--dry-run", is_flag=True, help="Check and show what would be sent; do nothing.")
@shared
def edit_letter(
    common: Common,
    message_id: str,
    names: tuple[str, ...] | None,
    args_text: str | None,
    kwargs_text: str | None,
    changes: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Change the dead letter ID and replay it, under its own id.

    Without options the call is opened in $EDITOR as JSON; saved unchanged, or not saved, nothing is
    done. It is checked before anything is written, against the task's signature too where -A names
    the app.
    """
    with load_app(common, required=False) as app:
        letter = find_letter(app, message_id, Filters(names=names))
        before = open_edit(letter)
        given = _given(args_text, kwargs_text, changes)
        after = _changed(before, given) if given else _edited(before)
        if after is None or after == before:
            click.echo("Unchanged: nothing was done.", err=True)
            return
        _check(app, after)
        if dry_run:
            click.echo(_document(after))
            return
        replay_edited(app.broker, letter, after)
    click.echo(f"Replayed {message_id} as changed.")


def _given(
    args_text: str | None, kwargs_text: str | None, changes: tuple[str, ...]
) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in (("args", args_text), ("kwargs", kwargs_text)):
        if value is not None:
            given[name] = _json(f"--{name}", value)
    for change in changes:
        name, is_set, value = change.partition("=")
        if not is_set or name not in _SETTABLE:
            msg = f"--set {change!r}; expected NAME=JSON with a name of: {', '.join(_SETTABLE)}."
            raise click.UsageError(msg)
        given[name] = _json_or_text(value)
    return given


def _json(flag: str, value: str) -> Any:
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise click.UsageError(f"{flag} {value!r} is no JSON: {error}.") from error


def _json_or_text(value: str) -> Any:
    """Read JSON; a name without quotes is a text."""
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _changed(before: Edit, given: dict[str, Any]) -> Edit:
    fields = {**msgspec.to_builtins(before), **given}
    return read_edit(msgspec.json.encode(fields))


def _edited(before: Edit) -> Edit | None:
    written = click.edit(_document(before), extension=".json")
    return None if written is None else read_edit(written)


def _document(edit: Edit) -> str:
    return msgspec.json.format(msgspec.json.encode(edit)).decode()


def _check(app: Windlass, edit: Edit) -> None:
    """Refuse arguments that the task does not take, where this app has it."""
    task = app.tasks.get(edit.task)
    if task is None or not task.typing:
        return
    try:
        task.check_arguments(edit.args, edit.kwargs)
    except TypeError as error:
        raise ConfigurationError(
            f"Task {edit.task!r} does not take these arguments: {error}"
        ) from (error)
