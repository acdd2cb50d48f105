"""When an entry is due, as data that any ticker can read: no app, no clock, no code of a user.

Times are nominal: what the schedule says, not when somebody looked. All are milliseconds since the
epoch. What happens when a zone's clock jumps is in `windlass.schedule_times`.
Next in the walk: `windlass.beat.entry`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from windlass.errors import ScheduleError
from windlass.schedule_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH_OF_YEAR,
    Fields,
)
from windlass.schedule_times import next_after
from windlass.settings.local_time import LocalTime

#: Stands for the zone of the machine that ticks (`enable_utc = False` without a time zone).
LOCAL = "local"
#: The shortest interval, milliseconds.
SHORTEST_MS = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


class Cron(msgspec.Struct, frozen=True, tag="cron", omit_defaults=True):
    """A crontab line in a zone: minute, hour, day of month, month, day of week.

    Raises:
        ScheduleError: The zone is not known.
        ParseException: A field cannot be read.
    """

    line: str
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse what would fail when it is due."""
        find_zone(self.zone)
        _fields(self.line)

    def next_after(self, base_ms: int, anchor_ms: int) -> int | None:
        """Return the first due time after `base_ms`; None when there is none."""
        after = _EPOCH + base_ms * _MS
        try:
            return _to_ms(next_after(_fields(self.line), after, find_zone(self.zone)))
        except OverflowError:
            return None

    def __str__(self) -> str:
        return f"{self.line} ({self.zone})"


class Every(msgspec.Struct, frozen=True, tag="every", omit_defaults=True):
    """Equal intervals, counted from an anchor: they do not drift.

    Attributes:
        every_ms: The interval.
        relative: Cut due times to the resolution of the interval (day, hour, minute) in `zone`.
        zone: For `relative` only.
    """

    every_ms: int
    relative: bool = False
    zone: str = "UTC"

    def __post_init__(self) -> None:
        """Refuse what would fail when it is due."""
        find_zone(self.zone)
        if self.every_ms < SHORTEST_MS:
            text = (
                f"Interval of {self.every_ms / 1000:g} s is too short; expected at least "
                f"{SHORTEST_MS / 1000:g} s."
            )
            raise ScheduleError(text)

    def next_after(self, base_ms: int, anchor_ms: int) -> int | None:
        """Return the first due time after `base_ms`; None when there is none."""
        if self.relative:
            return self._next_cut(base_ms)
        return anchor_ms + ((base_ms - anchor_ms) // self.every_ms + 1) * self.every_ms

    def _next_cut(self, base_ms: int) -> int:
        zone, interval = find_zone(self.zone), timedelta(milliseconds=self.every_ms)
        due = (_EPOCH + base_ms * _MS) + interval
        while (found := _to_ms(cut(due.astimezone(zone), interval))) <= base_ms:
            due += resolution(interval)  # a day of 25 hours
        return found

    def __str__(self) -> str:
        return f"every {self.every_ms / 1000:g} s" + (" (relative)" if self.relative else "")


class Sun(msgspec.Struct, frozen=True, tag="sun", omit_defaults=True):
    """An event of the sun at a place; `windlass.solar_times` says which and how exactly."""

    event: str
    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        """Refuse what would fail when it is due."""
        from windlass.solar_times import check_place  # noqa: PLC0415 - few schedules need it

        check_place(self.event, self.latitude, self.longitude)

    def next_after(self, base_ms: int, anchor_ms: int) -> int | None:
        """Return the first due time after `base_ms`; None when there is none for years."""
        from windlass.solar_times import next_event  # noqa: PLC0415 - few schedules need it

        after = _EPOCH + base_ms * _MS
        found = next_event(self.event, self.latitude, self.longitude, after)
        return None if found is None else _to_ms(found)

    def __str__(self) -> str:
        return f"{self.event} at {self.latitude:g}, {self.longitude:g}"


Timing = Cron | Every | Sun


@lru_cache(maxsize=1024)
def find_zone(name: str) -> tzinfo:
    """Return a time zone by name.

    Raises:
        ScheduleError: There is none of this name.
    """
    if name == LOCAL:
        return LocalTime()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        text = (
            f"Time zone {name!r} is not known. Expected an IANA name, such as 'UTC' or "
            "'Europe/Paris'."
        )
        raise ScheduleError(text) from error


@lru_cache(maxsize=4096)
def _fields(line: str) -> Fields:
    fields = line.split()
    if len(fields) != 5:
        text = (
            f"Crontab {line!r} has {len(fields)} fields; expected five, with spaces between them: "
            "minute, hour, day of month, month, day of week, e.g. '0 3 * * mon-fri'."
        )
        raise ScheduleError(text)
    minute, hour, day_of_month, month_of_year, day_of_week = fields
    return Fields(
        minute=MINUTE.expand(minute),
        hour=HOUR.expand(hour),
        day_of_week=DAY_OF_WEEK.expand(day_of_week),
        day_of_month=DAY_OF_MONTH.expand(day_of_month),
        month_of_year=MONTH_OF_YEAR.expand(month_of_year),
    )


def cut(moment: datetime, interval: timedelta) -> datetime:
    """Cut a time to the resolution of an interval: its day, hour or minute."""
    moment = moment.replace(microsecond=0)
    if interval.days >= 1:
        return moment.replace(hour=0, minute=0, second=0)
    if interval.seconds >= 3600:
        return moment.replace(minute=0, second=0)
    return moment.replace(second=0) if interval.seconds >= 60 else moment


def resolution(interval: timedelta) -> timedelta:
    """Return to what `cut` cuts."""
    if interval.days >= 1:
        return timedelta(days=1)
    if interval.seconds >= 3600:
        return timedelta(hours=1)
    return timedelta(minutes=1) if interval.seconds >= 60 else timedelta(seconds=1)


def _to_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MS
