"""`windlass schedules`: see and steer periodic tasks, whoever declared them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from windlass.beat.record import Schedule
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.cli.schedules_add import add
from windlass.control_plane import schedules as kept

_HEADINGS = (
    "NAME", "SCHEDULE", "TASK", "QUEUE", "NEXT", "LAST", "STATE", "TOOK", "FAILURES", "ACTIVE",
    "MISSED", "OWNER", "",
)  # fmt: skip


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@click.pass_context
@shared
def schedules(context: click.Context, common: Common, as_json: bool) -> None:
    """Show the periodic tasks on the broker, as `schedules list`."""
    context.obj = common
    if context.invoked_subcommand is None:
        show_list(common, as_json)


@schedules.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
@shared
def list_(common: Common, as_json: bool) -> None:
    """Show the periodic tasks on the broker, whoever declared them.

    NEXT and LAST are nominal times. STATE, TOOK and FAILURES (in a row) are of runs that have
    ended. MISSED counts due times that nobody was there to fire.
    """
    show_list(common, as_json)


schedules.add_command(add)


def show_list(common: Common, as_json: bool) -> None:
    """Print the table, or JSON."""
    with load_app(common, required=False) as app:
        found = kept.read_schedules(app.broker)
    if as_json:
        _print_json([as_data(each) for each in found])
    elif found:
        click.echo(text.table(_HEADINGS, [_row(each) for each in found]))
    else:
        click.echo(
            "No schedules yet: `windlass beat` declares those of the settings, and "
            "`windlass schedules add` adds one.",
            err=True,
        )


@schedules.command()
@click.argument("name")
@shared
def show(common: Common, name: str) -> None:
    """Show all that is known of the schedule NAME, as JSON."""
    with load_app(common, required=False) as app:
        _print_json(as_data(kept.read_schedule(app.broker, name)))


@schedules.command("next")
@click.argument("name", required=False)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="How many times to show.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array of {name, at_ms}.")
@shared
def next_(common: Common, name: str | None, count: int, as_json: bool) -> None:
    """Show when NAME, or whatever comes first of all, is due next."""
    with load_app(common, required=False) as app:
        now_ms = kept.schedules_of(app.broker).now_ms()
        names = None if name is None else [kept.read_schedule(app.broker, name).entry.name]
        found = kept.read_schedules(app.broker, names)
    times = sorted(
        (at_ms, each.entry.name)
        for each in found
        if not each.is_paused
        for at_ms in kept.upcoming(each, count, now_ms)
    )[:count]
    if as_json:
        _print_json([{"name": of, "at_ms": at_ms} for at_ms, of in times])
    for at_ms, of in [] if as_json else times:
        click.echo(f"{text.moment(at_ms)}  in {text.age(max(1, at_ms - now_ms))}  {of}")
    if not times:
        click.echo("Nothing is due: paused, ended, or not declared.", err=True)


@schedules.command()
@click.argument("name")
@shared
def trigger(common: Common, name: str) -> None:
    """Send the task of NAME now, beside its times; also while it is paused. Prints the task id."""
    with load_app(common, required=False) as app:
        click.echo(kept.trigger_schedule(app.broker, name))


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@shared
def pause(common: Common, names: tuple[str, ...]) -> None:
    """Fire NAME no more until it is resumed; a restart of beat leaves it paused."""
    _change_each(common, names, kept.pause_schedule, "paused", "was paused already")


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@shared
def resume(common: Common, names: tuple[str, ...]) -> None:
    """Fire NAME again, from now on: what was due meanwhile is not made up for."""
    _change_each(common, names, kept.resume_schedule, "resumed", "was not paused")


@schedules.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@shared
def remove(common: Common, names: tuple[str, ...]) -> None:
    """Remove NAME. One that the settings declare comes back when beat starts: pause it instead."""
    _change_each(common, names, kept.remove_schedule, "removed", "there was none")


def _change_each(
    common: Common,
    names: tuple[str, ...],
    change: Callable[[Any, str], bool],
    done: str,
    not_done: str,
) -> None:
    """Change schedules one after the other, and say of each whether there was anything to do."""
    with load_app(common, required=False) as app:
        for name in names:
            click.echo(f"{name}: {done if change(app.broker, name) else not_done}")


def as_data(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as plain data: times in milliseconds, without the encoded arguments."""
    entry = msgspec.to_builtins(schedule.entry)
    del entry["body"]
    entry["timing"] = str(schedule.entry.timing)
    entry["headers"] = msgspec.to_builtins(schedule.entry.headers)
    rest = msgspec.to_builtins(schedule)
    del rest["entry"]
    rest["active"] = [run._asdict() for run in schedule.active]
    rest["run"] = schedule.run._asdict() if schedule.run else None
    return {"name": schedule.entry.name, "next_ms": schedule.next_ms, **rest, "entry": entry}


def _row(each: Schedule) -> list[object]:
    entry = each.entry
    next_ms = each.next_ms
    ending = "paused" if each.is_paused else "ended" if next_ms is None else ""
    return [
        entry.name,
        str(entry.timing),
        entry.task,
        entry.queue,
        text.moment(next_ms or 0),
        text.moment(each.last_fired_ms),
        each.state or "-",
        text.age(max(1, each.took_ms)) if each.state else "-",
        each.failures,
        len(each.active),
        each.missed,
        entry.owner,
        ending,
    ]


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
