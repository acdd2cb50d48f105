"""Properties of due times in zones whose clock jumps; the rule is in `windlass.schedule_times`."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from windlass.schedule_fields import Fields
from windlass.schedule_times import next_after
from windlass.schedules import crontab

# One hour; half an hour; at midnight.
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "Australia/Lord_Howe", "America/Havana")]
MINUTE = timedelta(minutes=1)
JUMPS = {
    "Europe/Berlin": (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    "Australia/Lord_Howe": (
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
    ),
    "America/Havana": (datetime(2026, 3, 8, 5, tzinfo=UTC), datetime(2026, 11, 1, 5, tzinfo=UTC)),
}

zones = st.sampled_from(ZONES)


def numbers(low: int, high: int) -> st.SearchStrategy[frozenset[int]]:
    some = st.frozensets(st.integers(low, high), min_size=1, max_size=4)
    return st.one_of(st.just(frozenset(range(low, high + 1))), some)


specs = st.builds(
    Fields,
    minute=numbers(0, 59),
    hour=numbers(0, 23),
    day_of_week=numbers(0, 6),
    day_of_month=st.just(frozenset(range(1, 32))),
    month_of_year=st.just(frozenset(range(1, 13))),
)


@st.composite
def moments_near_a_jump(draw: st.DrawFn, zone: ZoneInfo) -> datetime:
    jump = draw(st.sampled_from(JUMPS[zone.key]))
    return jump + timedelta(seconds=draw(st.integers(-30 * 3600, 30 * 3600)))


def matches(fields: Fields, wall: datetime) -> bool:
    return (
        wall.minute in fields.minute
        and wall.hour in fields.hour
        and wall.isoweekday() % 7 in fields.day_of_week
        and wall.day in fields.day_of_month
        and wall.month in fields.month_of_year
    )


def is_due_at(fields: Fields, moment: datetime, zone: ZoneInfo) -> bool:
    """The rule once more, minute by minute of real time: an oracle without calendars."""
    wall = moment.astimezone(zone)
    is_hourly = len(fields.hour) == 24
    if matches(fields, wall) and (is_hourly or wall.fold == 0):
        return True
    before = (moment - MINUTE).astimezone(zone).replace(tzinfo=None) + MINUTE
    skipped = (wall.replace(tzinfo=None) - before) // MINUTE
    return not is_hourly and any(
        matches(fields, before + n * MINUTE) for n in range(max(skipped, 0))
    )


@settings(deadline=None)  # a machine may be slow
@given(data=st.data(), zone=zones, fields=specs)
def test_near_a_jump_the_next_time_is_the_first_that_the_rule_allows(
    data: st.DataObject, zone: ZoneInfo, fields: Fields
) -> None:
    after = data.draw(moments_near_a_jump(zone))

    found = next_after(fields, after, zone)

    assert found > after
    assert is_due_at(fields, found, zone)
    moment = after.replace(second=0, microsecond=0) + MINUTE
    for _ in range(min(int((found - moment) / MINUTE), 3 * 1440)):
        assert not is_due_at(fields, moment, zone), moment
        moment += MINUTE


@given(
    after=st.datetimes(datetime(1975, 1, 1), datetime(2060, 1, 1)).map(
        lambda naive: naive.replace(tzinfo=UTC)
    ),
    zone=zones,
    minute=numbers(0, 59),
    hour=numbers(0, 23),
    day_of_week=numbers(0, 6),
    day_of_month=numbers(1, 28),
    month_of_year=numbers(1, 12),
)
def test_every_due_time_matches_all_fields_or_is_the_end_of_a_gap(
    after: datetime,
    zone: ZoneInfo,
    minute: frozenset[int],
    hour: frozenset[int],
    day_of_week: frozenset[int],
    day_of_month: frozenset[int],
    month_of_year: frozenset[int],
) -> None:
    fields = Fields(
        minute=minute,
        hour=hour,
        day_of_week=day_of_week,
        day_of_month=day_of_month,
        month_of_year=month_of_year,
    )

    found = next_after(fields, after, zone)

    assert found > after
    assert is_due_at(fields, found, zone)
    # And a step back from it leads to it again: nothing lies between.
    assert next_after(fields, found - timedelta(seconds=1), zone) == found


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_a_daily_crontab_runs_once_for_each_day_of_the_year(zone: ZoneInfo) -> None:
    fields = crontab(minute=30, hour=[0, 2])._fields
    moment = datetime(2025, 12, 31, 12, tzinfo=zone)
    runs: dict[date, int] = {}

    while (moment := next_after(fields, moment, zone)).astimezone(zone).year < 2027:
        day = moment.astimezone(zone).date()
        runs[day] = runs.get(day, 0) + 1

    assert len(runs) == 365
    assert set(runs.values()) == {2}


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_every_quarter_of_an_hour_is_fifteen_minutes_also_across_a_jump(zone: ZoneInfo) -> None:
    fields = crontab(minute="*/15")._fields
    for jump in JUMPS[zone.key]:
        moment = next_after(fields, jump - timedelta(hours=6), zone)
        for _ in range(48):
            following = next_after(fields, moment, zone)
            assert following - moment == timedelta(minutes=15)
            moment = following


def test_a_skipped_time_is_due_at_the_jump_once_and_a_doubled_one_the_first_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    fields = crontab(minute="0,30", hour=2)._fields
    spring, autumn = JUMPS["Europe/Berlin"]

    assert next_after(fields, spring - timedelta(hours=3), berlin) == spring
    assert next_after(fields, spring, berlin) == datetime(2026, 3, 30, 0, 0, tzinfo=UTC)
    assert next_after(fields, autumn - timedelta(hours=1), berlin) == autumn - timedelta(minutes=30)
    assert next_after(fields, autumn - timedelta(minutes=30), berlin) == datetime(
        2026, 10, 26, 1, 0, tzinfo=UTC
    )
    second_hour = next_after(crontab(minute=30)._fields, autumn, berlin).astimezone(berlin)
    assert (second_hour.hour, second_hour.fold) == (2, 1)


def test_a_whole_day_that_a_zone_skipped_is_due_when_it_would_have_ended() -> None:
    """Samoa went from 29 to 31 December 2011."""
    apia = ZoneInfo("Pacific/Apia")
    after = datetime(2011, 12, 29, 12, tzinfo=apia)

    found = next_after(crontab(minute=0, hour=6)._fields, after, apia).astimezone(apia)

    assert found == datetime(2011, 12, 31, 0, 0, tzinfo=apia)
