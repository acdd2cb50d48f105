"""The rule of `windlass.schedule_times` at every clock change of ten zones in twenty years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from windlass.beat.timing import Cron

# North and south, half hours, at midnight, on dates that follow the moon (Casablanca).
ZONES = (
    "Europe/Berlin", "Europe/London", "America/New_York", "America/Santiago", "America/Havana",
    "Australia/Sydney", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Casablanca",
    "Pacific/Auckland",
)  # fmt: skip
FIRST, LAST = datetime(2015, 1, 1, tzinfo=UTC), datetime(2035, 1, 1, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def jumps(name: str) -> tuple[datetime, ...]:
    """Every moment at which the zone's offset changes, in UTC."""
    zone = ZoneInfo(name)

    def offset(moment: datetime) -> timedelta | None:
        return moment.astimezone(zone).utcoffset()

    def search() -> Iterator[datetime]:
        day = FIRST
        while day < LAST:
            low, high = day, day + DAY
            while offset(low) != offset(high) and high - low > MINUTE:
                middle = low + (high - low) // 2
                low, high = (low, middle) if offset(middle) != offset(low) else (middle, high)
            if offset(low) != offset(high):
                yield high.replace(second=0, microsecond=0)
            day += DAY

    return tuple(search())


def fires(line: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    timing, found = Cron(line, zone), []
    at_ms = timing.next_after((after - EPOCH) // timedelta(milliseconds=1), 0)
    while at_ms is not None and EPOCH + timedelta(milliseconds=at_ms) <= until:
        found.append(EPOCH + timedelta(milliseconds=at_ms))
        at_ms = timing.next_after(at_ms, 0)
    return found


def walls_around(jump: datetime, zone: str) -> list[tuple[int, int]]:
    """Times on the wall that the clock skips or shows twice, and those at both ends."""
    before = (jump - MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None) + MINUTE
    after = jump.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    low, high = min(before, after), max(before, after)
    walls = [low - MINUTE, low, low + (high - low) // 2, high - MINUTE, high]
    return [(wall.hour, wall.minute) for wall in walls]


@pytest.mark.parametrize("zone", ZONES)
def test_the_changes_are_found(zone: str) -> None:
    # Beirut and Casablanca changed their rules meanwhile; all others have two a year.
    assert len(jumps(zone)) >= 35


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_time_that_is_skipped_or_comes_twice_runs_once_a_day(zone: str) -> None:
    for jump in jumps(zone):
        for hour, minute in walls_around(jump, zone):
            line = f"{minute} {hour} * * *"
            found = fires(line, zone, jump - 3 * DAY, jump + 3 * DAY)
            days = [moment.astimezone(ZoneInfo(zone)).date() for moment in found]
            middle = [day for day in days if days[0] < day < days[-1]]

            assert len(set(days)) == len(days), (jump, line, found)
            assert len(middle) == (days[-1] - days[0]).days - 1 >= 3, (jump, line, found)


@pytest.mark.parametrize("zone", ZONES)
def test_a_skipped_time_is_due_at_the_moment_of_the_change(zone: str) -> None:
    forward = [
        jump
        for jump in jumps(zone)
        if jump.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        > (jump - MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None) + MINUTE
    ]
    assert len(forward) >= 17
    for jump in forward:
        skipped = (jump - MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None) + 6 * MINUTE
        line = f"{skipped.minute} {skipped.hour} * * *"

        assert jump in fires(line, zone, jump - HOUR, jump + HOUR), (jump, line)


@pytest.mark.parametrize("zone", ZONES)
def test_a_time_that_comes_twice_is_due_the_first_time(zone: str) -> None:
    for jump in jumps(zone):
        before = (jump - MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        after = jump.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if after > before:
            continue
        line = f"{before.minute} {before.hour} * * *"

        assert fires(line, zone, jump - HOUR, jump + 2 * HOUR) == [jump - MINUTE], (jump, line)


@pytest.mark.parametrize("zone", ZONES)
def test_what_runs_in_every_hour_follows_real_time(zone: str) -> None:
    for jump in jumps(zone):
        found = fires("*/30 * * * *", zone, jump - 2 * HOUR, jump + 2 * HOUR)

        gaps = {later - sooner for sooner, later in pairwise(found)}
        assert gaps == {30 * MINUTE}, jump
