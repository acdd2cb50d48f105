"""Engine semantics 43: the fields of a crontab, and when it is due."""

from __future__ import annotations

import pickle  # noqa: TID251 - what is tested is that a schedule can be sent to a process
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from windlass import Windlass
from windlass.schedules import ParseException, crontab, crontab_parser, maybe_schedule, schedule

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def noon() -> datetime:
    return NOON


@pytest.fixture
def app() -> Windlass:
    return Windlass("schedules", set_as_current=False)


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("minute", "*/40", {0, 40}),  # a step counts from the first, not from the last hit
        ("minute", "*/15", {0, 15, 30, 45}),
        ("minute", "*/100", {0}),
        ("minute", "1,13,30-34/2", {1, 13, 30, 32, 34}),
        ("minute", "58-2", {58, 59, 0, 1, 2}),
        ("minute", " 1, 5", {1, 5}),
        ("minute", 7, {7}),
        ("minute", [1, 2], {1, 2}),
        ("minute", {3, 4}, {3, 4}),
        ("minute", (n for n in (5, 6)), {5, 6}),
        ("hour", "22-2", {22, 23, 0, 1, 2}),
        ("hour", "0,8-17/2", {0, 8, 10, 12, 14, 16}),
        ("day_of_week", "mon-fri", {1, 2, 3, 4, 5}),
        ("day_of_week", "Sunday,sat", {0, 6}),
        ("day_of_week", "fri-mon", {5, 6, 0, 1}),
        ("day_of_week", "*/2", {0, 2, 4, 6}),
        ("day_of_month", "*/3", {1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31}),
        ("month_of_year", "jan,JULY,sept", {1, 7, 9}),
        ("month_of_year", "*/2", {1, 3, 5, 7, 9, 11}),
        ("month_of_year", "2-12/2", {2, 4, 6, 8, 10, 12}),
        ("month_of_year", "nov-feb", {11, 12, 1, 2}),
    ],
)
def test_a_field_expands_to_its_numbers(name: str, spec: Any, expected: set[int]) -> None:
    assert getattr(crontab(**{name: spec}), name) == expected


@pytest.mark.parametrize(
    ("name", "spec", "says"),
    [
        ("day_of_week", "7", "Sunday is 0, not 7"),
        ("day_of_week", 7, "out of range"),
        ("day_of_week", "mo", "neither a number nor a name"),
        ("day_of_week", "jan", "neither a number nor a name"),
        ("minute", "60", "out of range"),
        ("minute", -1, "out of range"),
        ("minute", "5/15", "write '5-59/15'"),
        ("minute", "*/0", "no number above 0"),
        ("minute", "*/", "cannot be read"),
        ("minute", "1,,2", "a part of it is empty"),
        ("minute", "", "a part of it is empty"),
        ("minute", "1-2-3", "cannot be read"),
        ("minute", [], "never be due"),
        ("minute", ["1"], "no whole number"),
        ("minute", [1.5], "no whole number"),
        ("hour", 24, "from 0 to 23"),
        ("day_of_month", 0, "from 1 to 31"),
        ("month_of_year", "13", "'january'"),
    ],
)
def test_a_bad_field_is_named_with_what_was_given_and_expected(
    name: str, spec: Any, says: str
) -> None:
    with pytest.raises(ParseException) as caught:
        crontab(**{name: spec})

    assert f"crontab {name}={spec!r}" in str(caught.value)
    assert says in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("spec", [None, 1.5, True, object()])
def test_a_field_of_a_wrong_type_is_a_type_error(spec: Any) -> None:
    with pytest.raises(TypeError, match="crontab hour is"):
        crontab(hour=spec)


def test_a_day_that_no_year_has_is_refused() -> None:
    with pytest.raises(ValueError, match="never occurs"):
        crontab(day_of_month=30, month_of_year="feb")

    assert crontab(day_of_month=29, month_of_year="feb").day_of_month == {29}


def test_a_line_of_a_crontab_is_read_in_its_own_order() -> None:
    line = crontab.from_string("5 6  7 8 mon")

    assert line == crontab(minute=5, hour=6, day_of_month=7, month_of_year=8, day_of_week="monday")
    with pytest.raises(ParseException, match="4 fields; expected five"):
        crontab.from_string("* * * *")


@pytest.mark.parametrize(
    ("fields", "last", "due"),
    [
        ({}, "2026-01-15 12:00:59", "2026-01-15 12:01"),
        ({"hour": 6}, "2026-01-15 06:10", "2026-01-15 06:11"),  # every minute of the hour
        ({"hour": 6, "minute": 0}, "2026-01-15 06:00", "2026-01-16 06:00"),
        ({"minute": "*/40"}, "2026-01-15 06:40", "2026-01-15 07:00"),
        # Both the day of the month and of the week must match: Friday the 13th.
        (
            {"minute": 0, "hour": 0, "day_of_month": 13, "day_of_week": "fri"},
            "2026-01-01 00:00",
            "2026-02-13 00:00",
        ),
        (
            {"minute": 0, "hour": 0, "day_of_month": 29, "month_of_year": 2, "day_of_week": 0},
            "2026-01-01 00:00",
            "2032-02-29 00:00",
        ),
        ({"minute": 0, "hour": 0, "day_of_month": 31}, "2026-01-31 00:00", "2026-03-31 00:00"),
        ({"minute": 0, "hour": 0, "month_of_year": "jan"}, "2026-01-31 00:00", "2027-01-01 00:00"),
    ],
)
def test_the_next_time_is_the_first_that_matches_all_fields(
    app: Windlass, fields: dict[str, Any], last: str, due: str
) -> None:
    last_run_at = datetime.fromisoformat(last).replace(tzinfo=UTC)

    found = crontab(**fields, app=app).next_after(last_run_at)

    assert found == datetime.fromisoformat(due).replace(tzinfo=UTC)


def test_is_due_says_when_to_look_again(app: Windlass) -> None:
    hourly = crontab(minute=30, nowfun=noon, app=app)

    assert hourly.is_due(NOON - timedelta(minutes=40)) == (True, 1800)
    assert hourly.is_due(NOON - timedelta(minutes=20)) == (False, 1800)
    assert hourly.remaining_estimate(NOON - timedelta(hours=1)) == -timedelta(minutes=30)


def test_due_at_this_very_moment_is_due(app: Windlass) -> None:
    assert crontab(minute=0, nowfun=noon, app=app).is_due(NOON - timedelta(minutes=1)).is_due


def test_it_means_the_clock_of_the_apps_time_zone() -> None:
    app = Windlass("tokyo", timezone="Asia/Tokyo", set_as_current=False)

    found = crontab(minute=0, hour=6, app=app).next_after(NOON)

    assert found.isoformat() == "2026-01-16T06:00:00+09:00"


def test_times_in_another_zone_and_naive_ones_in_utc_are_the_same_moment(app: Windlass) -> None:
    daily = crontab(minute=0, hour=6, nowfun=noon, app=app)
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-8)))

    assert daily.remaining_estimate(elsewhere) == timedelta(hours=18)
    assert daily.remaining_estimate(NOON.replace(tzinfo=None)) == timedelta(hours=18)


def test_equal_fields_make_equal_crontabs_however_they_were_written() -> None:
    one, other = crontab(minute="*/30"), crontab(minute=[0, 30])

    assert one == other
    assert hash(one) == hash(other)
    assert one != crontab(minute="*/30", nowfun=noon)
    assert one != crontab(minute="*/20")
    assert one != "*/30"


def test_repr_shows_what_was_written_in_the_order_of_a_line() -> None:
    shown = repr(crontab(minute="*/5", day_of_week="mon"))

    assert shown == "<crontab: */5 * * * mon (m/h/dM/MY/d)>"


def test_it_survives_pickling_without_its_app(app: Windlass) -> None:
    original = crontab("1-5", 6, "mon", {1, 2}, "jan", nowfun=noon, app=app)

    copy = pickle.loads(pickle.dumps(original))

    assert copy == original
    assert repr(copy) == repr(original)
    assert copy.nowfun is noon


def test_the_parser_reads_one_field_on_its_own() -> None:
    assert crontab_parser(24).parse("*/4") == {0, 4, 8, 12, 16, 20}
    assert crontab_parser(31, 1).parse("30-2") == {30, 31, 1, 2}
    assert crontab_parser(7).parse("sun") == {0}
    with pytest.raises(crontab_parser.ParseException):
        crontab_parser().parse("60")


def test_an_interval_is_due_when_it_is_over(app: Windlass) -> None:
    every = schedule(60, nowfun=noon, app=app)

    assert every.is_due(NOON - timedelta(seconds=60)) == (True, 60)
    assert every.is_due(NOON - timedelta(seconds=20)) == (False, 40)
    assert every.remaining_estimate(NOON - timedelta(seconds=90)) == -timedelta(seconds=30)


@pytest.mark.parametrize(
    ("run_every", "last", "left_s"),
    [
        (timedelta(hours=1), "2026-01-15 11:42:31", 0),  # 12:42:31 is cut to 12:00
        (timedelta(days=1), "2026-01-15 11:42:31", 12 * 3600),
        (timedelta(minutes=5), "2026-01-15 11:57:31", 120),
        (timedelta(seconds=30), "2026-01-15 11:59:45", 15),
    ],
)
def test_a_relative_interval_is_due_on_the_clocks_own_marks(
    app: Windlass, run_every: timedelta, last: str, left_s: float
) -> None:
    every = schedule(run_every, relative=True, nowfun=noon, app=app)
    last_run_at = datetime.fromisoformat(last).replace(tzinfo=UTC)

    assert every.remaining_estimate(last_run_at).total_seconds() == left_s


def test_a_relative_interval_that_is_late_looks_again_at_the_next_mark(app: Windlass) -> None:
    late = schedule(3600, True, lambda: NOON + timedelta(minutes=20), app)

    assert late.is_due(NOON - timedelta(hours=1)) == (True, 2400)


def test_intervals_compare_by_length_and_survive_pickling() -> None:
    every = schedule(timedelta(minutes=1), relative=True, nowfun=noon)

    assert schedule(60) == schedule(timedelta(minutes=1))
    assert hash(schedule(60)) == hash(schedule(timedelta(minutes=1)))
    assert schedule(60) != every
    assert pickle.loads(pickle.dumps(every)) == every
    assert repr(every) == "<freq: 60 seconds>"


@pytest.mark.parametrize("wrong", ["60", None, True])
def test_an_interval_is_seconds_or_a_timedelta(wrong: Any) -> None:
    with pytest.raises(TypeError, match="expected seconds or a timedelta"):
        schedule(wrong)


def test_maybe_schedule_makes_schedules_of_numbers_and_gives_the_app(app: Windlass) -> None:
    own = crontab()

    assert maybe_schedule(60) == schedule(60)
    assert maybe_schedule(timedelta(hours=1), relative=True) == schedule(3600, relative=True)
    assert maybe_schedule(own, app=app) is own
    assert own.app is app
    assert maybe_schedule(None) is None
