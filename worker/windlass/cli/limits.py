"""`windlass limits`: what tasks may use, what they use, and changing it for all workers at once."""

from __future__ import annotations

import click
import msgspec

from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane import limits as kept
from windlass.control_plane.limits import LimitView, TaskLimits

_HEADINGS = ("TASK", "RATE", "AT ONCE", "PER KEY", "TURNS", "RUNNING", "BLOCKED", "")
_OPTIONS = ("rate_limit", "max_concurrency", "max_concurrency_per_key", "fair_share")


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
@shared
def limits(context: click.Context, common: Common, as_json: bool) -> None:
    """Show the limits of tasks, as `limits list`."""
    context.obj = common
    if context.invoked_subcommand is None:
        show_list(common, as_json)


@limits.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@shared
def list_(common: Common, as_json: bool) -> None:
    """Show the limits of tasks: what workers declare, and what was set here in its place.

    RUNNING counts messages that have one of the task's slots (AT ONCE); BLOCKED those that wait for
    any limit. Limits of queues are shown by `windlass queues set NAME`.
    """
    show_list(common, as_json)


def show_list(common: Common, as_json: bool) -> None:
    """Print the table, or JSON."""
    with load_app(common, required=False) as app:
        found = kept.list_limits(app.broker)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    elif found:
        click.echo(text.table(_HEADINGS, [_row(each) for each in found]))
    else:
        click.echo("No limits: a worker declares those of its tasks when it starts.", err=True)


def _row(each: LimitView) -> list[object]:
    held = each.limits
    return [
        each.task,
        held.rate_limit or "-",
        held.max_concurrency,
        held.max_concurrency_per_key,
        "yes" if held.fair_share else "-",
        each.running,
        each.waiting,
        f"set: {', '.join(each.overridden)}" if each.overridden else "",
    ]


@limits.command("set")
@click.argument("task")
@click.option("--rate-limit", metavar="RATE", help="So many begin: 100/s, 30/m, 5/h; 0: no limit.")
@click.option(
    "--max-concurrency",
    type=click.IntRange(min=0),
    metavar="N",
    help="So many run at once; 0: no limit.",
)
@click.option(
    "--max-concurrency-per-key",
    type=click.IntRange(min=0),
    metavar="N",
    help="So many of one key run at once; 0: no limit. The task says what the key is (limit_key).",
)
@click.option("--fair-share/--no-fair-share", default=None, help="Keys take turns, or do not.")
@shared
def set_(common: Common, task: str, **given: str | int | bool | None) -> None:
    """Change limits of TASK for all workers, at once and until `limits unset`.

    It goes before what workers declare, also those that start later.
    """
    changes = {
        name: (value if name == "rate_limit" else value or None)
        for name, value in given.items()
        if value is not None
    }
    if not changes:
        raise click.UsageError("nothing to set. Expected one option at least, e.g. --rate-limit.")
    with load_app(common, required=False) as app:
        _print(task, kept.set_limits(app.broker, task, **changes))


@limits.command("unset")
@click.argument("task")
@click.argument("names", nargs=-1, type=click.Choice(_OPTIONS))
@shared
def unset(common: Common, task: str, names: tuple[str, ...]) -> None:
    """Go back to what workers declare for TASK: in the limits named, or in all."""
    with load_app(common, required=False) as app:
        _print(task, kept.unset_limits(app.broker, task, *names))


def _print(task: str, held: TaskLimits) -> None:
    shown = {"task": task, **msgspec.to_builtins(held)}
    click.echo(msgspec.json.format(msgspec.json.encode(shown)).decode())
