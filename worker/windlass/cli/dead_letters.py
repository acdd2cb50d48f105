"""`windlass dlq`: look at dead letters, send them again, or drop them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click
import msgspec

from windlass.app import Windlass
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.cli.queues import known_queues
from windlass.control_plane import dead_letters
from windlass.control_plane.dead_letters import DeadLetter
from windlass.errors import WindlassError

F = TypeVar("F", bound=Callable[..., Any])  # any command function

_PAGE = 500
_HEADINGS = ("ID", "QUEUE", "TASK", "REASON", "DELIVERIES", "RETRIES", "DIED", "DETAIL")


class NoSuchDeadLetterError(WindlassError):
    """No dead letter has this id."""

    def __init__(self, message_id: str, queues: list[str]) -> None:
        super().__init__(
            f"No dead letter has the id {message_id!r} in {', '.join(queues) or 'any queue'}. "
            "`windlass dlq list` shows what is there; it may have been replayed or purged, or its "
            "retention is over."
        )


def _queues_option(help_text: str) -> Callable[[F], F]:
    return click.option("-Q", "--queues", "names", type=text.NameList(), help=help_text)


@click.group()
@click.pass_context
@shared
def dlq(context: click.Context, common: Common) -> None:
    """List, show, replay and purge dead letters: messages that cannot be run, untouched."""
    context.obj = common


@dlq.command("list")
@_queues_option("Only these queues; default: all.")
@click.option("--reason", help="Only dead letters with this reason.")
@click.option("--task", help="Only dead letters of this task.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@shared
def list_letters(
    common: Common,
    names: tuple[str, ...] | None,
    reason: str | None,
    task: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """List dead letters, the newest first in each queue."""
    shown: list[DeadLetter] = []
    with load_app(common, required=False) as app:
        for letter in _select(app, names, reason, task):
            shown.append(letter)
            if len(shown) == limit:
                break
    if as_json:
        for letter in shown:
            click.echo(msgspec.json.encode(_facts(letter)).decode())
    elif shown:
        click.echo(text.table(_HEADINGS, [_row(letter) for letter in shown]))
    else:
        click.echo("No dead letters.", err=True)


@dlq.command("show")
@click.argument("message_id", metavar="ID")
@_queues_option("Look in these queues only.")
@shared
def show_letter(common: Common, message_id: str, names: tuple[str, ...] | None) -> None:
    """Show one dead letter: why, and the message as it was sent (as JSON)."""
    with load_app(common, required=False) as app:
        letter = _find(app, message_id, names)
    facts = {**_facts(letter), "message": _message(letter)}
    click.echo(msgspec.json.format(msgspec.json.encode(facts, enc_hook=repr)).decode())


@dlq.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_queues_option("Only these queues; default: all.")
@click.option("--reason", help="All dead letters with this reason.")
@click.option("--task", help="All dead letters of this task.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@shared
def replay(
    common: Common,
    ids: tuple[str, ...],
    names: tuple[str, ...] | None,
    reason: str | None,
    task: str | None,
    everything: bool,
) -> None:
    """Send dead letters again, untouched and with their counts at zero."""
    _require_a_choice(ids, reason, task, everything, "replay")
    with load_app(common, required=False) as app:
        chosen = _choose(app, ids, names, reason, task)
        count = sum(dead_letters.replay(app.broker, queue, of) for queue, of in chosen.items())
    click.echo(f"Replayed {count:,} of {sum(map(len, chosen.values())):,}.")


@dlq.command("purge")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_queues_option("Only these queues; default: all.")
@click.option("--reason", help="All dead letters with this reason.")
@click.option("--task", help="All dead letters of this task.")
@click.option("--all", "everything", is_flag=True, help="All dead letters.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@shared
def purge(
    common: Common,
    ids: tuple[str, ...],
    names: tuple[str, ...] | None,
    reason: str | None,
    task: str | None,
    everything: bool,
    force: bool,
) -> None:
    """Drop dead letters for good."""
    _require_a_choice(ids, reason, task, everything, "purge")
    with load_app(common, required=False) as app:
        chosen = _choose(app, ids, names, reason, task)
        total = sum(map(len, chosen.values()))
        if total and not force:
            click.confirm(f"Drop {total:,} dead letters for good?", abort=True)
        count = sum(dead_letters.purge_dead(app.broker, queue, of) for queue, of in chosen.items())
    click.echo(f"Purged {count:,}.")


def _require_a_choice(
    ids: tuple[str, ...], reason: str | None, task: str | None, everything: bool, verb: str
) -> None:
    if not (ids or reason or task or everything):
        msg = f"nothing chosen to {verb}. Expected ids, or --reason, --task or --all."
        raise click.UsageError(msg)
    if ids and (reason or task or everything):
        msg = "ids exclude --reason, --task and --all. Give the one or the other."
        raise click.UsageError(msg)


def _choose(
    app: Windlass,
    ids: tuple[str, ...],
    names: tuple[str, ...] | None,
    reason: str | None,
    task: str | None,
) -> dict[str, list[str]]:
    """Return the chosen ids by queue."""
    letters = (
        [_find(app, message_id, names) for message_id in ids]
        if ids
        else _select(app, names, reason, task)
    )
    chosen: dict[str, list[str]] = {}
    for letter in letters:
        chosen.setdefault(letter.queue, []).append(letter.id)
    return chosen


def _select(
    app: Windlass, names: tuple[str, ...] | None, reason: str | None, task: str | None
) -> Iterator[DeadLetter]:
    for queue in names or known_queues(app):
        offset = 0
        while page := dead_letters.list_dead(app.broker, queue, offset, _PAGE):
            offset += len(page)
            for letter in page:
                if (not reason or letter.reason == reason) and (not task or letter.task == task):
                    yield letter


def _find(app: Windlass, message_id: str, names: tuple[str, ...] | None) -> DeadLetter:
    queues = list(names or known_queues(app))
    for queue in queues:
        letter = dead_letters.show_dead(app.broker, queue, message_id)
        if letter is not None:
            return letter
    raise NoSuchDeadLetterError(message_id, queues)


def _row(letter: DeadLetter) -> list[object]:
    detail = " ".join(letter.detail.split())
    return [
        letter.id,
        letter.queue,
        letter.task,
        letter.reason,
        letter.deliveries,
        letter.retries,
        text.moment(letter.at_ms),
        detail if len(detail) <= 60 else f"{detail[:57]}...",
    ]


def _facts(letter: DeadLetter) -> dict[str, object]:
    facts: dict[str, object] = msgspec.to_builtins(letter, builtin_types=(bytes,))
    facts.pop("raw", None)
    return facts


def _message(letter: DeadLetter) -> dict[str, object]:
    """The message for people; what cannot be decoded is shown as it came."""
    message = letter.message
    if message is None:
        return {"undecodable": repr(letter.raw[:4096])}
    shown: dict[str, object] = msgspec.to_builtins(message, builtin_types=(bytes,))
    shown["body"] = _body(message.headers.content_type, message.body)
    return shown


def _body(content_type: str, body: bytes) -> object:
    """Decode JSON only: nothing that is dead may run code here."""
    if content_type in ("application/json", "json"):
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError:
            pass
    return repr(body[:4096])
