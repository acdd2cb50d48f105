"""`windlass schedules add`: a periodic task declared, or changed, from the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from windlass import schedules
from windlass.app import Windlass
from windlass.beat.declared import make_entry
from windlass.beat.entry import API, CatchUp, Overlap
from windlass.cli import text
from windlass.cli.options import Common, load_app, shared
from windlass.cli.tasks import Json
from windlass.control_plane import schedules as kept
from windlass.errors import nearest

F = TypeVar("F", bound=Callable[..., Any])  # any command function

#: Options of the call, as for `apply_async`; the rest are keys of an entry.
_CALL_OPTIONS = ("queue", "priority", "expires", "countdown")
_OPTIONS = (
    click.option("--every", type=text.Duration(), metavar="TIME", help="Interval: 30s, 5m, 1d."),
    click.option("--cron", metavar="LINE", help='Crontab, quoted: "0 3 * * mon-fri".'),
    click.option(
        "--solar",
        type=(str, float, float),
        metavar="EVENT LAT LON",
        help="The sun at a place: sunset 48.85 2.35.",
    ),
    click.option("-t", "--task", required=True, metavar="TASK", help="Name of the task."),
    click.option("-a", "--args", type=Json(list), default="[]", help='Positional: "[1, 2]".'),
    click.option("-k", "--kwargs", type=Json(dict), default="{}", help="""By name: '{"x": 1}'."""),
    click.option("-Q", "--queue", help="Its queue; routing decides without."),
    click.option("--priority", type=click.IntRange(0, 9), help="0 to 9, higher is sooner."),
    click.option(
        "--expires", type=text.Duration(), metavar="TIME", help="Dropped so long after each fire."
    ),
    click.option(
        "--countdown", type=text.Duration(), metavar="TIME", help="Run so long after each fire."
    ),
    click.option("--timezone", metavar="ZONE", help="Of the crontab, --start, --end."),
    click.option("--relative", is_flag=True, help="With --every: due on the clock."),
    click.option(
        "--catch-up",
        type=click.Choice([each.value for each in CatchUp], case_sensitive=False),
        help="Of due times that nobody fired: none, the latest (default), or all.",
    ),
    click.option(
        "--starting-deadline", type=text.Duration(), metavar="TIME", help="Later is missed."
    ),
    click.option(
        "--overlap",
        type=click.Choice([each.value for each in Overlap], case_sensitive=False),
        help="While an earlier run has not ended. Default: Allow.",
    ),
    click.option("--jitter", type=text.Duration(), metavar="TIME", help="Late by up to so much."),
    click.option("--start", metavar="WHEN", help="Nothing is due before: 2027-01-31T06:00."),
    click.option("--end", metavar="WHEN", help="Nothing is due after."),
    click.option("--max-runs", type=click.IntRange(min=1), metavar="N", help="Ends after N fires."),
    click.option("--paused", is_flag=True, help="A new one begins paused."),
)


def _add_options(command: F) -> F:
    wrapped: Any = command
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


@click.command()
@click.argument("name")
@_add_options
@shared
def add(common: Common, name: str, task: str, paused: bool, **given: Any) -> None:
    """Add the schedule NAME, or change the one of this name to this. In force at once.

    \b
    windlass schedules add rates --every 30s --task shop.rates
    windlass -A shop schedules add nightly --cron "0 3 * * *" --timezone Europe/Paris \\
        --task shop.report --kwargs '{"full": true}' --overlap Forbid

    It stays until `schedules remove`. What settings or a BeatSchedule declare is changed there.
    With -A the task's route and arguments are the app's: checked here, not when it runs.
    """  # noqa: D301  (click wants the character)
    when = _when(given.pop("every"), given.pop("cron"), given.pop("solar"), given["relative"])
    options = {key: given.pop(key) for key in _CALL_OPTIONS}
    raw = {
        "task": task,
        "schedule": when,
        "options": {key: value for key, value in options.items() if value is not None},
        **{key: value for key, value in given.items() if value is not None},
    }
    with load_app(common, required=False) as app:
        app.finalize()
        entry = make_entry(app, name, raw, API)
        _warn_of_unknown(app, entry.task)
        put = kept.put_schedule(app.broker, entry, is_paused=paused)
        click.echo(f"{name}: {put.what}; {_next(app, name)}")


def _when(
    every: float | None, cron: str | None, solar: tuple[str, float, float] | None, relative: bool
) -> Any:
    """Return the one schedule that was given."""
    given = [value for value in (every, cron, solar) if value is not None]
    if len(given) != 1:
        count = "none" if not given else "several"
        msg = (
            f'when is it due? Expected one of --every 30s, --cron "0 3 * * mon-fri", '
            f"--solar sunset 48.85 2.35; {count} was given."
        )
        raise click.UsageError(msg)
    if relative and every is None:
        msg = "--relative is for intervals. Expected: --every 1h --relative."
        raise click.UsageError(msg)
    if every is not None:
        return every
    return cron if solar is None else schedules.solar(*solar)


def _warn_of_unknown(app: Windlass, task: str) -> None:
    known = [name for name in app.tasks if not name.startswith("windlass.")]
    if known and app.tasks.find(task) is None:
        click.echo(f"Task {task!r} is not known here.{nearest(task, known)}", err=True)


def _next(app: Windlass, name: str) -> str:
    added = kept.read_schedule(app.broker, name)
    if added.is_paused:
        return "paused: `windlass schedules resume` has it fire"
    if added.next_ms is None:
        return "it is never due"
    now_ms = kept.schedules_of(app.broker).now_ms()
    return f"next {text.moment(added.next_ms)}, in {text.age(max(1, added.next_ms - now_ms))}"
