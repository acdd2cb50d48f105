"""When periodic tasks are due: `crontab`, `schedule` and `solar`, as Celery's module of this name.

A schedule answers one question: given when it last ran, is it due, and when to look again.
`crontab` means the clock on the wall of the app's time zone; what happens when that clock jumps is
in `windlass.schedule_times`. Beat keeps schedules as data: `windlass.beat.declared`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import shared
from windlass.schedule_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH_OF_YEAR,
    Cronspec,
    Fields,
    ParseException,
    crontab_parser,
)
from windlass.schedule_times import next_after
from windlass.solar_times import check_place, next_event

if TYPE_CHECKING:
    from windlass.app import Windlass

__all__ = [
    "BaseSchedule", "ParseException", "crontab", "crontab_parser", "maybe_schedule", "schedstate",
    "schedule", "solar",
]  # fmt: skip

_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")


class schedstate(NamedTuple):  # noqa: N801 - Celery's name
    """Whether a schedule is due, and in how many seconds to look again."""

    is_due: bool
    next: float


class BaseSchedule:
    """What all schedules have: a clock and a time zone.

    Args:
        nowfun: Returns the present time; by default the app's clock. Without a zone it is UTC.
        app: Whose clock and time zone; by default the current app's, UTC where there is none.
    """

    def __init__(
        self, nowfun: Callable[[], datetime] | None = None, app: Windlass | None = None
    ) -> None:
        self.nowfun = nowfun
        self._app = app

    @property
    def app(self) -> Windlass | None:
        """The app given, else the current one."""
        return self._app if self._app is not None else shared.find_current_app()

    @app.setter
    def app(self, app: Windlass | None) -> None:
        self._app = app

    @property
    def tz(self) -> tzinfo:
        """The time zone whose clock is meant."""
        app = self.app
        return UTC if app is None else app.timezone

    def now(self) -> datetime:
        """Return the present time, aware."""
        app = self.app
        if self.nowfun is not None:
            return self.maybe_make_aware(self.nowfun())
        return datetime.now(UTC) if app is None else app.now()

    def maybe_make_aware(self, dt: datetime, naive_as_utc: bool = True) -> datetime:
        """Return the time with a zone: UTC where it has none, or with False the schedule's."""
        if dt.tzinfo is not None:
            return dt
        return dt.replace(tzinfo=UTC if naive_as_utc else self.tz)


class schedule(BaseSchedule):  # noqa: N801 - Celery's name
    """Due at equal intervals.

    Args:
        run_every: The interval: seconds, or a timedelta.
        relative: Round due times down to the resolution of the interval (days, hours or minutes)
            on the clock of the app's time zone: an interval of an hour is due on the hour.
        nowfun: As for `BaseSchedule`.
        app: As for `BaseSchedule`.

    Raises:
        TypeError: The interval is neither seconds nor a timedelta.
    """

    def __init__(
        self,
        run_every: float | timedelta,
        relative: bool = False,
        nowfun: Callable[[], datetime] | None = None,
        app: Windlass | None = None,
    ) -> None:
        if isinstance(run_every, bool) or not isinstance(run_every, int | float | timedelta):
            text = f"schedule run_every is {run_every!r}; expected seconds or a timedelta."
            raise TypeError(text)
        if not isinstance(run_every, timedelta):
            run_every = timedelta(seconds=run_every)
        self.run_every = run_every
        self.relative = relative
        super().__init__(nowfun, app)

    @property
    def seconds(self) -> float:
        """The interval in seconds, not below 0."""
        return max(self.run_every.total_seconds(), 0)

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return how long it is until it is due; negative when it is overdue."""
        due = self.maybe_make_aware(last_run_at).astimezone(UTC) + self.run_every
        if self.relative:
            due = _rounded(due.astimezone(self.tz), self.run_every)
        return due.astimezone(UTC) - self.now().astimezone(UTC)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether it is due, and in how many seconds to look again."""
        left_s = self.remaining_estimate(last_run_at).total_seconds()
        if left_s > 0:
            return schedstate(is_due=False, next=left_s)
        next_s = self.remaining_estimate(self.now()).total_seconds() if self.relative else 0.0
        return schedstate(is_due=True, next=next_s if next_s > 0 else self.seconds)

    def __repr__(self) -> str:
        return f"<freq: {self.seconds:g} seconds>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, schedule):
            return (self.run_every, self.relative) == (other.run_every, other.relative)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.run_every, self.relative))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.run_every, self.relative, self.nowfun)


class crontab(BaseSchedule):  # noqa: N801 - Celery's name
    """Due at the minutes that match all five fields.

    Each field is a number, a collection of numbers, or a text: "*", "*/15", "1,13,30-45/5",
    "mon-fri", "jan,jul". What is left out matches always, so crontab(hour=6) is due in every
    minute from 06:00 to 06:59; crontab(minute=0, hour=6) once. A day has to match day_of_week AND
    day_of_month AND month_of_year (the cron of Unix is content with one of the first two). A range
    may go on past the end ("fri-mon"). A step counts from the first of its range: "*/40" of
    minutes is 0 and 40.

    When the clock jumps: a crontab that names hours runs once for each time it names, a skipped
    time at the moment of the jump, a time that comes twice the first time. One with hour="*"
    follows real time.

    Args:
        minute: 0-59.
        hour: 0-23.
        day_of_week: 0-6 or names; Sunday is 0, and 7 is refused.
        day_of_month: 1-31.
        month_of_year: 1-12 or names.
        nowfun: As for `BaseSchedule`.
        app: As for `BaseSchedule`.

    Raises:
        ParseException: (a ValueError) A field cannot be read, is out of range, or no day matches.
        TypeError: A field is of a wrong type.
    """

    def __init__(
        self,
        minute: Cronspec = "*",
        hour: Cronspec = "*",
        day_of_week: Cronspec = "*",
        day_of_month: Cronspec = "*",
        month_of_year: Cronspec = "*",
        *,
        nowfun: Callable[[], datetime] | None = None,
        app: Windlass | None = None,
    ) -> None:
        self._orig_minute = _kept(minute)
        self._orig_hour = _kept(hour)
        self._orig_day_of_week = _kept(day_of_week)
        self._orig_day_of_month = _kept(day_of_month)
        self._orig_month_of_year = _kept(month_of_year)
        self._fields = Fields(
            minute=MINUTE.expand(self._orig_minute),
            hour=HOUR.expand(self._orig_hour),
            day_of_week=DAY_OF_WEEK.expand(self._orig_day_of_week),
            day_of_month=DAY_OF_MONTH.expand(self._orig_day_of_month),
            month_of_year=MONTH_OF_YEAR.expand(self._orig_month_of_year),
        )
        super().__init__(nowfun, app)

    @classmethod
    def from_string(cls, crontab: str) -> crontab:
        """Read a line of a crontab: minute, hour, day of month, month, day of week.

        >>> crontab.from_string("0 6 * * mon-fri")
        <crontab: 0 6 * * mon-fri (m/h/dM/MY/d)>

        Raises:
            ParseException: There are not five fields, or one of them cannot be read.
        """
        fields = crontab.split()
        if len(fields) != len(_FIELDS):
            text = (
                f"crontab {crontab!r} has {len(fields)} fields; expected five, with spaces "
                f"between them: {', '.join(_FIELDS)}."
            )
            raise ParseException(text)
        minute, hour, day_of_month, month_of_year, day_of_week = fields
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)

    @property
    def originals(self) -> tuple[Cronspec, ...]:
        """The fields as they were given, in the order of a crontab's line."""
        return (
            self._orig_minute, self._orig_hour, self._orig_day_of_month,
            self._orig_month_of_year, self._orig_day_of_week,
        )  # fmt: skip

    @property
    def minute(self) -> frozenset[int]:
        """The minutes that match."""
        return self._fields.minute

    @property
    def hour(self) -> frozenset[int]:
        """The hours that match."""
        return self._fields.hour

    @property
    def day_of_week(self) -> frozenset[int]:
        """The days of the week that match; Sunday is 0."""
        return self._fields.day_of_week

    @property
    def day_of_month(self) -> frozenset[int]:
        """The days of the month that match."""
        return self._fields.day_of_month

    @property
    def month_of_year(self) -> frozenset[int]:
        """The months that match."""
        return self._fields.month_of_year

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment at which it is due, in the schedule's zone."""
        moment = self.maybe_make_aware(moment)
        return next_after(self._fields, moment, self.tz).astimezone(self.tz)

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return how long it is until it is due; negative when it is overdue."""
        due = self.next_after(last_run_at)
        return due.astimezone(UTC) - self.now().astimezone(UTC)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether it is due, and in how many seconds to look again."""
        left_s = self.remaining_estimate(last_run_at).total_seconds()
        if left_s > 0:
            return schedstate(is_due=False, next=left_s)
        next_s = self.remaining_estimate(self.now()).total_seconds()
        return schedstate(is_due=True, next=max(next_s, 0))

    def __repr__(self) -> str:
        originals = (getattr(self, f"_orig_{name}") for name in _FIELDS)
        return f"<crontab: {' '.join(map(str, originals))} (m/h/dM/MY/d)>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, crontab):
            return (self._fields, self.nowfun) == (other._fields, other.nowfun)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self._fields, self.nowfun))

    def __reduce__(self) -> tuple[Any, ...]:
        # The app stays here: whoever unpickles it has a current app of its own.
        originals = (
            self._orig_minute, self._orig_hour, self._orig_day_of_week, self._orig_day_of_month,
            self._orig_month_of_year,
        )  # fmt: skip
        return type(self), originals, {"nowfun": self.nowfun}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.nowfun = state["nowfun"]


class solar(BaseSchedule):  # noqa: N801 - Celery's name
    """Due at an event of the sun: sunrise, solar_noon, sunset, dawn and dusk of three kinds.

    Days on which the event does not take place (polar day and night) are passed over. How exact it
    is says `windlass.solar_times`.

    Args:
        event: "sunrise", "solar_noon", "sunset", "dawn_civil", "dawn_nautical",
            "dawn_astronomical", "dusk_civil", "dusk_nautical" or "dusk_astronomical".
        lat: Degrees north, -90 to 90.
        lon: Degrees east, -180 to 180.
        nowfun: As for `BaseSchedule`.
        app: As for `BaseSchedule`.

    Raises:
        ScheduleError: (a ValueError) It is no event, or no place.
    """

    def __init__(
        self,
        event: str,
        lat: float,
        lon: float,
        nowfun: Callable[[], datetime] | None = None,
        app: Windlass | None = None,
    ) -> None:
        check_place(event, lat, lon)
        self.event, self.lat, self.lon = event, lat, lon
        super().__init__(nowfun, app)

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after a moment at which it is due.

        Raises:
            OverflowError: There is none for more than a year.
        """
        found = next_event(self.event, self.lat, self.lon, self.maybe_make_aware(moment))
        if found is None:
            text = f"There is no {self.event} at {self.lat}, {self.lon} for more than a year."
            raise OverflowError(text)
        return found

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Return how long it is until it is due; negative when it is overdue."""
        return self.next_after(last_run_at) - self.now().astimezone(UTC)

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Return whether it is due, and in how many seconds to look again."""
        left_s = self.remaining_estimate(last_run_at).total_seconds()
        if left_s > 0:
            return schedstate(is_due=False, next=left_s)
        return schedstate(
            is_due=True, next=max(self.remaining_estimate(self.now()).total_seconds(), 0)
        )

    def __repr__(self) -> str:
        return f"<solar: {self.event} at latitude {self.lat}, longitude: {self.lon}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, solar):
            return (self.event, self.lat, self.lon) == (other.event, other.lat, other.lon)
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.event, self.lat, self.lon))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.lat, self.lon)


def maybe_schedule(
    s: float | timedelta | BaseSchedule | None, relative: bool = False, app: Windlass | None = None
) -> BaseSchedule | None:
    """Make a schedule of seconds or a timedelta; a schedule is given the app, None stays None."""
    if s is None:
        return None
    if isinstance(s, BaseSchedule):
        s.app = app
        return s
    return schedule(s, relative, app=app)


def _kept(spec: Cronspec) -> Cronspec:
    """Return what was given, in a form that can be read again."""
    if isinstance(spec, int | str) or not hasattr(spec, "__iter__"):
        return spec
    return spec if isinstance(spec, set | frozenset | list | tuple) else tuple(spec)


def _rounded(moment: datetime, interval: timedelta) -> datetime:
    """Cut a time to the resolution of an interval: its day, hour or minute."""
    moment = moment.replace(microsecond=0)
    if interval.days >= 1:
        return moment.replace(hour=0, minute=0, second=0)
    if interval.seconds >= 3600:
        return moment.replace(minute=0, second=0)
    return moment.replace(second=0) if interval.seconds >= 60 else moment
