"""From what a person declares (beat_schedule, add_periodic_task) to entries for the broker.

Everything that can be wrong is said here, at start: a bad crontab or zone, an unknown key,
arguments that do not fit the task.
Next in the walk: `windlass.control_plane.schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from windlass import plans, schedules, sending, uniqueness
from windlass.beat.entry import CatchUp, Entry, Overlap
from windlass.beat.timing import LOCAL, Cron, Every, Sun, Timing, find_zone
from windlass.errors import ConfigurationError, ScheduleError, WindlassError, nearest
from windlass.messages import PREFIX_SIZE, Message, decode_message
from windlass.schedule_fields import Cronspec

if TYPE_CHECKING:
    from windlass.app import Windlass

C = TypeVar("C", CatchUp, Overlap)
_CALL_KEYS = ("task", "schedule", "args", "kwargs", "options")
_OWN_KEYS = (
    "relative", "timezone", "catch_up", "starting_deadline", "overlap", "jitter", "start", "end",
    "max_runs",
)  # fmt: skip
KEYS = (*_CALL_KEYS, *_OWN_KEYS)
#: Options of a call that make no sense for one that is repeated.
_REFUSED_OPTIONS = ("eta", "task_id", "root_id", "parent_id", "group_id")
_FORM = (
    "{'task': 'shop.tasks.report', 'schedule': crontab(minute=0, hour=3), 'args': (1,)}; a "
    "schedule is seconds, a timedelta, crontab(...), solar(...), or a line such as '0 3 * * *'"
)


def owner_of(app: Windlass) -> str:
    """Return the owner of the entries that an app's settings and code declare."""
    return f"settings:{app.main or ''}"


def entries_of(app: Windlass) -> list[Entry]:
    """Return the entries that an app declares; the app is finalised.

    Raises:
        ScheduleError: One is wrong; the text says which, what was given and what is expected.
    """
    app.finalize()
    declared = {**app.conf.current.beat_schedule, **app.periodic_tasks}
    return [make_entry(app, name, raw, owner_of(app)) for name, raw in declared.items()]


def make_entry(app: Windlass, name: str, raw: Mapping[str, Any], owner: str) -> Entry:
    """Make one entry of what was declared.

    Raises:
        ScheduleError: It is wrong.
    """
    try:
        return _make_entry(app, name, raw, owner)
    except (WindlassError, TypeError, ValueError) as error:
        text = str(error)
        prefix = f"Schedule {name!r}"
        raise ScheduleError(text if text.startswith(prefix) else f"{prefix}: {text}") from error


def _make_entry(app: Windlass, name: str, raw: Mapping[str, Any], owner: str) -> Entry:
    _check_keys(raw)
    settings = app.conf.current
    schedule, task = raw["schedule"], str(getattr(raw["task"], "name", raw["task"]))
    timing = timing_of(app, schedule, bool(raw.get("relative")), raw.get("timezone"))
    message, delay_ms, ttl_ms = _call(app, name, task, raw)
    deadline_s = _seconds("starting_deadline", raw.get("starting_deadline"))
    if deadline_s is None and isinstance(timing, Cron):
        deadline_s = settings.beat_cron_starting_deadline
    zone = raw.get("timezone")
    return Entry(
        name=name,
        timing=timing,
        task=task,
        queue=message.queue,
        body=message.body,
        headers=message.headers,
        owner=owner,
        priority=message.priority,
        delay_ms=delay_ms,
        ttl_ms=ttl_ms,
        catch_up=_choice(CatchUp, "catch_up", raw.get("catch_up", CatchUp.ONE)),
        starting_deadline_s=deadline_s,
        overlap=_choice(Overlap, "overlap", raw.get("overlap", Overlap.ALLOW)),
        jitter_s=_seconds("jitter", raw.get("jitter")) or 0.0,
        start_ms=_moment(app, "start", raw.get("start"), zone),
        end_ms=_moment(app, "end", raw.get("end"), zone),
        max_runs=raw.get("max_runs"),
        result_ttl_ms=round((settings.result_expires or 0) * 1000)
        if settings.results_enabled
        else None,
    )


def _check_keys(raw: object) -> None:
    if not isinstance(raw, Mapping):
        text = f"it is {raw!r}. Expected {_FORM}."
        raise ScheduleError(text)
    for key in raw:
        if key not in KEYS:
            text = f"unknown key {key!r}.{nearest(str(key), KEYS)} Expected: {', '.join(KEYS)}."
            raise ScheduleError(text)
    for key in ("task", "schedule"):
        if raw.get(key) is None:
            text = f"it has no {key!r}. Expected {_FORM}."
            raise ScheduleError(text)


def _call(
    app: Windlass, schedule: str, name: str, raw: Mapping[str, Any]
) -> tuple[Message, int | None, int | None]:
    """Build the message of the call; returns it with its delay and time to live, milliseconds."""
    options = dict(raw.get("options") or {})
    for option in _REFUSED_OPTIONS:
        if options.get(option) is not None:
            text = f"option {option!r} makes no sense for a task that is sent again and again."
            raise ScheduleError(text)
    uniqueness.refuse(options, "a schedule's runs", "Say overlap='Forbid' or 'Replace'.")
    args, kwargs = raw.get("args") or (), raw.get("kwargs") or {}
    outgoing = sending.build(app, name, app.tasks.find(name), args, kwargs, options)
    if outgoing.expires_at_ms is not None:
        text = "option 'expires' is a time; expected seconds (or a timedelta) after each fire."
        raise ScheduleError(text)
    prefix = bytes((1, 48 + outgoing.priority)).ljust(PREFIX_SIZE, b"\0")
    message = decode_message(outgoing.id, prefix + outgoing.tail)
    # Who declares it is another process each time.
    message.headers.origin = None
    seals = plans.sealing_in(app.conf.current)
    if seals is not None:
        # Apps without signing do without it.
        from windlass.sealing.schedules import sealed_for_schedule  # noqa: PLC0415

        message = sealed_for_schedule(seals, schedule, message, prefix + outgoing.tail)
    return message, outgoing.delay_ms, outgoing.ttl_ms


def timing_of(app: Windlass, schedule: Any, relative: bool, timezone: object) -> Timing:
    """Return a schedule as data.

    Args:
        app: Whose time zone is meant where none is given.
        schedule: Seconds, a timedelta, a crontab or a line of one, solar.
        relative: As for `windlass.schedules.schedule`.
        timezone: Name of the zone, or a ZoneInfo; None: the app's.

    Raises:
        ScheduleError: It is none of these, or cannot be kept as data.
    """
    zone = _zone_name(app, timezone)
    if isinstance(schedule, str):
        return Cron(" ".join(schedule.split()), zone)
    if getattr(schedule, "nowfun", None) is not None:
        text = "nowfun cannot be kept on the broker. For another zone, give the entry 'timezone'."
        raise ScheduleError(text)
    if isinstance(schedule, schedules.crontab):
        return Cron(" ".join(_field_text(spec) for spec in schedule.originals), zone)
    if isinstance(schedule, schedules.solar):
        return Sun(schedule.event, schedule.lat, schedule.lon)
    if isinstance(schedule, bool) or not isinstance(
        schedule, int | float | timedelta | schedules.schedule
    ):
        text = f"its schedule is {schedule!r}. Expected {_FORM}."
        raise ScheduleError(text)
    if not isinstance(schedule, schedules.schedule):
        schedule = schedules.schedule(schedule, relative)
    every_ms = round(schedule.run_every.total_seconds() * 1000)
    is_relative = bool(relative or schedule.relative)
    return Every(every_ms, is_relative, zone if is_relative else "UTC")


def _zone_name(app: Windlass, timezone: object) -> str:
    if timezone is None:
        settings = app.conf.current
        return settings.timezone or ("UTC" if settings.enable_utc else LOCAL)
    name = "UTC" if timezone is UTC else getattr(timezone, "key", timezone)
    return str(name) if find_zone(str(name)) else ""


def _field_text(spec: Cronspec) -> str:
    if isinstance(spec, str):
        return ",".join(part.strip() for part in spec.split(","))
    return str(spec) if isinstance(spec, int) else ",".join(map(str, sorted(spec)))


def _seconds(name: str, value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    text = f"{name} is {value!r}; expected seconds or a timedelta."
    raise ScheduleError(text)


def _choice(kind: type[C], name: str, value: object) -> C:
    for choice in kind:
        if str(value).lower() == choice.value.lower():
            return choice
    known = [choice.value for choice in kind]
    text = f"{name} is {value!r}; expected one of: {', '.join(known)}."
    raise ScheduleError(text)


def _moment(app: Windlass, name: str, value: object, timezone: object) -> int:
    if value is None:
        return 0
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    if not isinstance(moment, datetime):
        text = f"{name} is {value!r}; expected a datetime, or a text such as '2027-01-31T06:00'."
        raise ConfigurationError(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=find_zone(_zone_name(app, timezone)))
    return round(moment.timestamp() * 1000)
