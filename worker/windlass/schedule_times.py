"""When a crontab is due next, in the wall time of a zone. Pure: no clock, no app.

A crontab means the clock on the wall, and twice a year that clock jumps. The rule:

- A crontab that names hours (hour=2, "*/6", "9-17") runs once for each time it names. A time that
  the clock skips (spring) is due at the moment of the jump, so that a daily job is not lost;
  several skipped times are due there once. A time that comes twice (autumn) is due the first time
  only.
- A crontab that runs in every hour (hour="*") is about intervals, and follows real time: skipped
  times do not exist, and times that come twice are due twice.

So the time between two runs of minute="*/15" is 15 minutes on every day of the year, and
hour=2, minute=30 runs once on every day of the year.
Next in the walk: `windlass.schedules`, the public classes.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from windlass.schedule_fields import Fields

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_NOON = time(12)
_HOURS = 24


def next_after(fields: Fields, after: datetime, zone: tzinfo) -> datetime:
    """Return the first time after `after` at which the fields match, in UTC.

    Args:
        fields: What has to match.
        after: An aware time; a match at this very moment does not count.
        zone: Whose clock is meant.

    Raises:
        OverflowError: There is none before the year 9999 ends.
    """
    after = after.astimezone(UTC)
    # Near a jump a day's last times may come after the next day's first: look at both.
    day = after.astimezone(zone).date() - _DAY
    while True:
        day = _next_day(fields, day)
        found = _first_of_day(fields, day, after, zone)
        if found is not None:
            following = day + _DAY
            if _is_on(fields, following):
                other = _first_of_day(fields, following, after, zone)
                return found if other is None else min(found, other)
            return found
        day += _DAY


def _is_on(fields: Fields, day: date) -> bool:
    return (
        day.month in fields.month_of_year
        and day.day in fields.day_of_month
        and day.isoweekday() % 7 in fields.day_of_week
    )


def _next_day(fields: Fields, day: date) -> date:
    """Return the first day from `day` on that all three fields name."""
    while not _is_on(fields, day):
        if day.month in fields.month_of_year:
            day += _DAY
        else:
            day = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return day


def _first_of_day(fields: Fields, day: date, after: datetime, zone: tzinfo) -> datetime | None:
    jump = _jump_near(day, zone)
    if jump:
        return _first_near_jump(fields, day, after, zone, jump + _HOUR)
    wall = after.astimezone(zone)
    if wall.date() > day:
        return None
    first = _first_time(fields, wall.time() if wall.date() == day else None)
    if first is None:
        return None
    return datetime.combine(day, first, zone).astimezone(UTC)


def _first_time(fields: Fields, after: time | None) -> time | None:
    """Return the first time of a day without a jump, after a time of it."""
    minutes, hours = sorted(fields.minute), sorted(fields.hour)
    if after is None:
        return time(hours[0], minutes[0])
    if after.hour in fields.hour:
        at = bisect_right(minutes, after.minute)
        if at < len(minutes):
            return time(after.hour, minutes[at])
    at = bisect_right(hours, after.hour)
    return time(hours[at], minutes[0]) if at < len(hours) else None


def _first_near_jump(
    fields: Fields, day: date, after: datetime, zone: tzinfo, margin: timedelta
) -> datetime | None:
    """Look at each time of the day by itself; of hours that cannot matter at none.

    Args:
        fields: What has to match.
        day: A day near which the clock jumps.
        after: An aware time.
        zone: Whose clock jumps.
        margin: How far from the begin of its hour a time may be, at most.
    """
    first: datetime | None = None
    for hour in sorted(fields.hour):
        begin = datetime.combine(day, time(hour), zone).astimezone(UTC)
        if begin + margin < after:
            continue
        if first is not None and begin - margin > first:
            break
        for minute in fields.minute:
            for moment in _moments(fields, datetime.combine(day, time(hour, minute)), zone):
                if moment > after and (first is None or moment < first):
                    first = moment
    return first


def _jump_near(day: date, zone: tzinfo) -> timedelta:
    """Return by how much the clock jumps on this day, or so near to it that it matters."""
    noons = (datetime.combine(near, _NOON, zone) for near in (day - _DAY, day, day + _DAY))
    offsets = [noon.utcoffset() or timedelta() for noon in noons]
    return max(offsets) - min(offsets)


def _moments(fields: Fields, wall: datetime, zone: tzinfo) -> list[datetime]:
    """Return the moments (UTC) at which a time on the wall is due: none, one or two."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    is_hourly = len(fields.hour) == _HOURS
    if first == second:
        return [first]
    if first < second:
        return [first, second] if is_hourly else [first]
    return [] if is_hourly else [_jump_between(second, first, zone)]


def _jump_between(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Return the moment at which the zone's offset changes, to the second."""
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
