"""`windlass queues` shows what waits, runs and is dead; `windlass queues set` the queue record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
import msgspec

from windlass.app import Windlass
from windlass.brokers.base import QueueDepth
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.control_plane.depth import list_queues, read_depths
from windlass.control_plane.queue_record import read_record, write_record
from windlass.control_plane.set_aside import read_set_aside
from windlass.messages import check_queue_name

_HEADINGS = (
    "QUEUE", "OPEN", "SCHEDULED", "LEASED", "RUNNING", "PARKED", "BLOCKED", "DEAD",
    "OLDEST", "NEXT DUE", "COMPLETED", "",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("-Q", "--queues", "names", type=text.NameList(), help="Only these; default: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, counts and milliseconds.")
@click.option("--parked", "lists_parked", is_flag=True, help="List the tasks that no worker knows.")
@click.pass_context
@shared
def queues(
    context: click.Context,
    common: Common,
    names: tuple[str, ...] | None,
    as_json: bool,
    lists_parked: bool,
) -> None:
    """Show the depth of every queue.

    OPEN waits to be leased (due scheduled messages and expired leases included). LEASED is owned
    by workers, RUNNING of those has started. PARKED waits for a worker that knows the task
    (NoCapableWorker): the last column names one, --parked all. BLOCKED waits for a limit.
    """
    context.obj = common
    if context.invoked_subcommand is None:
        show(common, names, as_json=as_json, lists_parked=lists_parked)


def show(
    common: Common, names: tuple[str, ...] | None, *, as_json: bool, lists_parked: bool = False
) -> None:
    """Print the depths as a table or as JSON."""
    with load_app(common, required=False) as app:
        depths = read_depths(app.broker, names or known_queues(app))
        unknown = _parked_tasks(app, depths)
    if as_json:
        rows = [
            {
                **msgspec.to_builtins(each),
                "backlog": each.backlog,
                "parked_tasks": unknown.get(each.queue, {}),
            }
            for each in depths
        ]
        click.echo(msgspec.json.format(msgspec.json.encode(rows)).decode())
    elif lists_parked:
        _list_parked(unknown)
    elif depths:
        rows_ = [_row(each, unknown.get(each.queue, {})) for each in depths]
        click.echo(text.table(_HEADINGS, rows_))
    else:
        click.echo("No queues yet: the first message creates its queue.", err=True)


def _parked_tasks(app: Windlass, depths: Sequence[QueueDepth]) -> dict[str, Mapping[str, int]]:
    """Return the tasks that no worker knows, by queue; a second read only where there are some."""
    names = [each.queue for each in depths if each.parked]
    found = read_set_aside(app.broker, names)
    return {name: aside.tasks for name, aside in zip(names, found, strict=True)}


def _list_parked(unknown: Mapping[str, Mapping[str, int]]) -> None:
    rows = [(queue, task, n) for queue, tasks in unknown.items() for task, n in tasks.items()]
    if rows:
        click.echo(text.table(("QUEUE", "TASK", "MESSAGES"), rows))
    else:
        click.echo("Nothing is parked: workers know every task that they met.", err=True)


def known_queues(app: Windlass) -> list[str]:
    """Return the queues on the broker and those that the app's settings name."""
    configured = list(app.conf.task_queues) or [app.conf.task_default_queue]
    return sorted({*list_queues(app.broker), *configured})


def _row(each: QueueDepth, unknown: Mapping[str, int]) -> list[object]:
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
        _note(each, unknown),
    ]


def _note(each: QueueDepth, unknown: Mapping[str, int]) -> str:
    notes = ["paused"] if each.paused else []
    if unknown:
        more = f" +{len(unknown) - 1}" if len(unknown) > 1 else ""
        notes.append(f"no worker knows {next(iter(unknown))}{more}")
    return ", ".join(notes)


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
