"""What is fired when, as a pure function; and what is refused when an entry is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schedule_builders import MINUTE, SECOND, make_entry
from windlass.beat.due import COUNTED_AT_MOST, Base, decide, fires_at, next_nominal
from windlass.beat.entry import CATCH_UP_AT_MOST, CatchUp, Entry, fire_id
from windlass.beat.record import Schedule
from windlass.beat.ticker import fires_of
from windlass.beat.timing import Cron, Every, Sun
from windlass.errors import ConfigurationError, DecodeError

NOW = 1_700_000_000_000
DAY = 24 * 60 * MINUTE


def base(last_ms: int = 0, since_ms: int = NOW) -> Base:
    return Base("uid", last_ms, since_ms)


timings = st.one_of(
    st.integers(100, 3 * DAY).map(Every),
    st.sampled_from(["* * * * *", "*/7 3-9 * * *", "0 0 1 * *", "30 2 * * 0"]).map(
        lambda line: Cron(line, "Europe/Berlin")
    ),
)


@settings(deadline=None)  # a machine may be slow
@given(timings, st.integers(0, 40 * DAY), st.sampled_from(CatchUp), st.floats(0, 90))
def test_what_is_decided_moves_on_and_leaves_nothing_due_behind(
    timing: Every | Cron, gone_ms: int, catch_up: CatchUp, jitter_s: float
) -> None:
    entry = make_entry(timing=timing, catch_up=catch_up, jitter_s=jitter_s)
    now_ms = NOW + gone_ms
    decided = decide(entry, base(), now_ms)
    following = next_nominal(entry, base(decided.passed_ms))

    assert list(decided.fire) == sorted(set(decided.fire))
    assert all(NOW < nominal <= now_ms for nominal in decided.fire)
    assert len(decided.fire) <= (CATCH_UP_AT_MOST if catch_up is CatchUp.ALL else 1)
    assert 0 <= decided.missed <= COUNTED_AT_MOST
    if decided.fire:
        assert decided.fire[-1] == decided.passed_ms
    assert following is not None
    assert fires_at(entry, "uid", following) > now_ms


@settings(deadline=None)  # a machine may be slow
@given(timings, st.integers(1, 30))
def test_stepped_one_by_one_no_time_is_left_out(timing: Every | Cron, steps: int) -> None:
    entry, seen, last_ms = make_entry(timing=timing), [], 0
    for _ in range(steps):
        nominal = next_nominal(entry, base(last_ms))
        assert nominal is not None
        assert decide(entry, base(last_ms), nominal - 1).passed_ms == 0
        (last_ms,) = decide(entry, base(last_ms), nominal).fire
        seen.append(last_ms)

    assert seen == sorted(set(seen))


def test_an_interval_does_not_drift_and_keeps_its_phase_after_an_outage() -> None:
    entry = make_entry(timing=Every(7 * SECOND))

    assert decide(entry, base(), NOW + 7 * SECOND + 900).fire == (NOW + 7 * SECOND,)
    assert decide(entry, base(NOW + 7 * SECOND), NOW + 1000 * SECOND).fire == (NOW + 994 * SECOND,)


def test_an_interval_with_a_start_is_counted_from_it() -> None:
    start_ms = NOW + 90 * SECOND
    entry = make_entry(timing=Every(MINUTE), start_ms=start_ms)

    assert next_nominal(entry, base()) == start_ms
    assert next_nominal(entry, base(start_ms)) == start_ms + MINUTE
    past = make_entry(timing=Every(MINUTE), start_ms=NOW - 10 * SECOND)
    assert next_nominal(past, base()) == NOW + 50 * SECOND


def test_a_relative_interval_is_cut_to_its_resolution_on_the_clock_of_the_zone() -> None:
    day = Every(DAY, relative=True, zone="Europe/Berlin")
    moment = datetime(2026, 10, 24, 12, tzinfo=UTC)
    found = []
    for _ in range(3):
        at_ms = day.next_after(round(moment.timestamp() * 1000), 0)
        assert at_ms is not None
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        found.append(moment)

    # Midnight in Berlin, also after the day of 25 hours.
    assert found == [
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 10, 25, 23, tzinfo=UTC),
        datetime(2026, 10, 26, 23, tzinfo=UTC),
    ]


def test_jitter_is_within_its_bound_and_differs_from_time_to_time() -> None:
    entry = make_entry(jitter_s=10.0)
    late = [fires_at(entry, "uid", NOW + n * MINUTE) - NOW - n * MINUTE for n in range(50)]

    assert all(0 <= each <= 10 * SECOND for each in late)
    assert len(set(late)) > 40
    assert late == [fires_at(entry, "uid", NOW + n * MINUTE) - NOW - n * MINUTE for n in range(50)]


def test_a_fire_knows_the_next_one_and_how_many_were_missed() -> None:
    entry = make_entry(timing=Every(10 * SECOND), catch_up=CatchUp.ALL)
    schedule = Schedule(entry=entry, uid="uid", generation=3, since_ms=NOW)

    first, second = fires_of(schedule, NOW + 25 * SECOND)

    assert (first.next_at_ms, second.next_at_ms) == (second.fire_at_ms, NOW + 30 * SECOND)
    assert (first.missed, first.generation) == (0, 3)
    assert first.message.id == fire_id("uid", NOW + 10 * SECOND) != second.message.id


def test_the_id_of_a_fire_is_a_uuid_that_workers_know_as_a_run() -> None:
    found = fire_id("uid", NOW)

    assert len(found) == 36
    assert (found[14], found[19]) == ("8", "8")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Cron("0 3 * *"), "has 4 fields; expected five.*'0 3 \\* \\* mon-fri'"),
        (
            lambda: Cron("0 24 * * *"),
            "hour='24': 24 is out of range. Expected numbers",
        ),
        (lambda: Cron("0 3 30 feb *"), "never occurs"),
        (lambda: Cron("0 3 * * *", "Europe/Pariss"), "'Europe/Pariss' is not known.*IANA"),
        (lambda: Every(99), "0.099 s is too short; expected at least 0.1 s"),
        (lambda: Sun("noon", 0, 0), "Unknown event 'noon'"),
        (lambda: make_entry(""), "expected 1 to 250 characters"),
        (lambda: make_entry(queue="a b"), "Queue name 'a b' is not usable"),
        (lambda: make_entry(starting_deadline_s=0.0), "starting_deadline is 0.0 s"),
        (lambda: make_entry(jitter_s=-1.0), "jitter is -1.0 s"),
        (lambda: make_entry(max_runs=0), "max_runs is 0; expected 1 or more"),
        (lambda: make_entry(start_ms=5, end_ms=5), "its end is not after its start"),
        (lambda: make_entry(catchup=1), "no field 'catchup'. Did you mean 'catch_up'"),
    ],
)
def test_what_would_fail_when_it_is_due_is_refused_in_words(make: object, text: str) -> None:
    with pytest.raises((ConfigurationError, ValueError), match=text):
        make()  # type: ignore[operator]  # a lambda


def test_an_entry_survives_its_encoding_and_what_is_none_says_so() -> None:
    for timing in (Cron("0 3 * * *", "Asia/Tokyo"), Every(500), Sun("sunset", 1.5, 2.0)):
        entry = make_entry(timing=timing, jitter_s=2.0, max_runs=3, kwargs={"a": [1]})
        assert Entry.decode("s", entry.encode()) == entry

    with pytest.raises(DecodeError, match="Schedule 's' cannot be read by this version"):
        Entry.decode("s", b"\x81\xa1x\x01")


def test_the_sun_is_a_timing_as_any_other() -> None:
    entry = make_entry(timing=Sun("sunset", 48.85, 2.35))
    found = next_nominal(
        entry, base(since_ms=round(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp() * 1000))
    )

    assert found is not None
    moment = datetime.fromtimestamp(found / 1000, UTC)
    assert abs(moment - datetime(2026, 11, 24, 16, 1, 10, tzinfo=UTC)) < timedelta(seconds=6)
    assert next_nominal(make_entry(timing=Sun("sunset", 90.0, 0.0)), base()) is None
