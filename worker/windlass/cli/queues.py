"""`windlass queues` shows what waits, runs and is dead; `windlass queues set` the queue record."""

from __future__ import annotations

import click
import msgspec

from windlass.app import Windlass
from windlass.brokers.base import QueueDepth
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane.depth import list_queues, read_depths
from windlass.control_plane.queue_record import read_record, write_record
from windlass.messages import check_queue_name

_HEADINGS = (
    "QUEUE", "OPEN", "SCHEDULED", "LEASED", "RUNNING", "PARKED", "BLOCKED", "DEAD",
    "OLDEST", "NEXT DUE", "COMPLETED", "",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", "names", type=text.NameList(), help="Only these; default: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, counts and milliseconds.")
@click.pass_context
@shared
def queues(
    context: click.Context, common: Common, names: tuple[str, ...] | None, as_json: bool
) -> None:
    """Show the depth of every queue.

    OPEN waits to be leased (due scheduled messages and expired leases included). LEASED is owned
    by workers, RUNNING of those has started. PARKED waits for a worker that knows the task.
    """
    context.obj = common
    if context.invoked_subcommand is None:
        show(common, names, as_json)


def show(common: Common, names: tuple[str, ...] | None, as_json: bool) -> None:
    """Print the depths as a table or as JSON."""
    with load_app(common, required=False) as app:
        depths = read_depths(app.broker, names or known_queues(app))
    if as_json:
        rows = [{**msgspec.to_builtins(each), "backlog": each.backlog} for each in depths]
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    elif depths:
        click.echo(text.table(_HEADINGS, [_row(each) for each in depths]))
    else:
        click.echo("No queues yet: the first message creates its queue.", err=True)


def known_queues(app: Windlass) -> list[str]:
    """Return the queues on the broker and those that the app's settings name."""
    configured = list(app.conf.task_queues) or [app.conf.task_default_queue]
    return sorted({*list_queues(app.broker), *configured})


def _row(each: QueueDepth) -> list[object]:
    return [
        each.queue,
        each.open,
        each.scheduled,
        each.leased,
        each.started,
        each.parked,
        each.blocked,
        each.dead,
        text.age(each.oldest_ms),
        text.moment(each.next_due_ms),
        each.completed,
        "paused" if each.paused else "",
    ]


@queues.command("set")
@click.argument("name")
@click.option("--paused/--no-paused", default=None, help="Hand out nothing from it, or do again.")
@click.option(
    "--max-deliveries",
    type=click.IntRange(min=1),
    metavar="N",
    help="Deliveries that may end in a crash before a message is a dead letter.",
)
@click.option(
    "--dead-retention",
    type=text.Duration(),
    metavar="TIME",
    help="How long dead letters are kept, e.g. 7d, 12h.",
)
@click.option(
    "--park-limit",
    type=text.Duration(),
    metavar="TIME",
    help="A message whose task no worker knew for so long is a dead letter, e.g. 1h; 0: never.",
)
@click.option(
    "--dead-expired/--no-dead-expired",
    default=None,
    help="Keep messages that expire as dead letters, or do not.",
)
@click.option(
    "--dead-failed/--no-dead-failed",
    default=None,
    help="Keep messages whose task fails for good as dead letters, or do not.",
)
@click.option(
    "--rate-limit",
    metavar="RATE",
    help="Messages that all workers together may begin: 100/s, 30/m, 5/h; 0 for no limit.",
)
@click.option(
    "--max-concurrency",
    type=click.IntRange(min=0),
    metavar="N",
    help="Messages that all workers together may have at once; 0 for no limit.",
)
@shared
def set_record(
    common: Common,
    name: str,
    dead_retention: float | None,
    park_limit: float | None,
    max_concurrency: int | None,
    **given: bool | int | str | None,
) -> None:
    """Change how the queue NAME is served. Workers follow at once; nothing restarts.

    Without options the queue's record is shown as it is.
    """
    check_queue_name(name)
    changes: dict[str, object] = {key: kept for key, kept in given.items() if kept is not None}
    for key, seconds in (("dead_retention_s", dead_retention), ("park_limit_s", park_limit)):
        if seconds is not None:
            changes[key] = int(seconds)
    if max_concurrency is not None:
        changes["max_concurrency"] = max_concurrency or None
    with load_app(common, required=False) as app:
        if changes:
            record = write_record(app.broker, name, **changes)
        else:
            record = read_record(app.broker, name)
    click.echo(
        msgspec.json.format(
            msgspec.json.encode({"queue": name, **msgspec.to_builtins(record)})
        ).decode()
    )
