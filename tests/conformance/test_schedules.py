"""Schedules on every broker: declared, fired once, steered, and how their runs ended.

The broker's clock is in the test's hand; a ticker is stepped, not run.
"""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample
from broker_state import NOW
from schedule_builders import (
    MINUTE,
    SECOND,
    ended,
    make_entry,
    make_ticker,
    run_all,
    take,
    tick,
)
from windlass.beat.entry import CatchUp, Overlap, fire_id
from windlass.beat.timing import Every
from windlass.brokers.base import Bury, DeadEnd
from windlass.control_plane import schedules
from windlass.control_plane.schedules import (
    put_schedule,
    read_schedule,
)
from windlass.messages import decode_message


def started(brokers: Sample, **entry: Any) -> Any:
    """A broker with one schedule, and a ticker of it."""
    put_schedule(brokers.broker, make_entry(**entry))
    return make_ticker(brokers.broker)


def test_a_due_time_is_fired_once_with_an_id_that_follows_from_it(brokers: Sample) -> None:
    ticker = started(brokers)
    assert tick(ticker) == {}

    brokers.at(NOW + 10 * SECOND)
    assert tick(ticker) == {"FIRED": 1}
    assert tick(ticker) == {}

    schedule = read_schedule(brokers.broker, "s")
    (delivery,) = take(brokers.broker)
    assert delivery.id == fire_id(schedule.uid, NOW + 10 * SECOND)
    assert (schedule.last_ms, schedule.next_ms) == (NOW + 10 * SECOND, NOW + 20 * SECOND)
    assert (schedule.fired, schedule.missed) == (1, 0)


def test_a_message_says_which_schedule_sent_it_and_for_when(brokers: Sample) -> None:
    ticker = started(brokers, kwargs={"full": True})
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)

    (delivery,) = take(brokers.broker)
    message = decode_message(delivery.id, delivery.raw)
    assert message.task == "tests.noop"
    assert message.body == b'[[],{"full":true},{}]'
    assert message.headers.headers == {
        "schedule": "s",
        "scheduled_for": "2023-11-14T22:13:30+00:00",
    }


def test_a_stale_ticker_is_refused_whatever_it_has_prepared(brokers: Sample) -> None:
    stale = started(brokers)
    brokers.at(NOW + 9 * SECOND)
    stale.run_once()
    assert len(stale._prepared) == 1
    brokers.at(NOW + 15 * SECOND)
    assert tick(make_ticker(brokers.other, "other")) == {"FIRED": 1}

    stale.clock.measure(NOW + 15 * SECOND, 0.0)
    fires = list(stale._prepared)
    answers = stale._store.fire(fires)

    assert [answer.what for answer in answers] == ["PAST"]
    assert len(take(brokers.broker)) == 1


def test_one_ticker_leads_and_another_steps_in_when_it_is_silent(brokers: Sample) -> None:
    one = started(brokers)
    other = make_ticker(brokers.other, "other")
    assert one.run_once().leads
    assert not other.run_once().leads

    brokers.at(NOW + 5 * SECOND)
    assert other.run_once().leads
    assert not one.run_once().leads


def test_a_lead_that_is_given_up_is_free_at_once(brokers: Sample) -> None:
    one = started(brokers)
    one.run_once()
    one._give_up_lead()

    assert make_ticker(brokers.other, "other").run_once().leads


def test_after_an_outage_catch_up_one_fires_the_latest_and_counts_the_rest(
    brokers: Sample,
) -> None:
    ticker = started(brokers)
    brokers.at(NOW + 65 * SECOND)

    assert tick(ticker) == {"FIRED": 1}
    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.last_fired_ms, schedule.missed) == (NOW + 60 * SECOND, 5)
    assert schedule.next_ms == NOW + 70 * SECOND


def test_catch_up_all_fires_each_the_oldest_first(brokers: Sample) -> None:
    ticker = started(brokers, catch_up=CatchUp.ALL)
    brokers.at(NOW + 35 * SECOND)

    assert tick(ticker) == {"FIRED": 3}
    uid = read_schedule(brokers.broker, "s").uid
    assert run_all(brokers.broker) == [fire_id(uid, NOW + at * SECOND) for at in (10, 20, 30)]


def test_catch_up_none_fires_nothing_that_is_late(brokers: Sample) -> None:
    ticker = started(brokers, timing=Every(10 * MINUTE), catch_up=CatchUp.NONE)
    brokers.at(NOW + 12 * MINUTE)

    assert tick(ticker) == {"MISSED": 1}
    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.fired, schedule.missed, schedule.next_ms) == (0, 1, NOW + 20 * MINUTE)
    brokers.at(NOW + 20 * MINUTE + 5 * SECOND)
    assert tick(ticker) == {"FIRED": 1}


def test_a_starting_deadline_that_has_passed_is_a_missed_time(brokers: Sample) -> None:
    ticker = started(brokers, timing=Every(MINUTE), starting_deadline_s=20.0)
    brokers.at(NOW + MINUTE + 21 * SECOND)
    assert tick(ticker) == {"MISSED": 1}

    brokers.at(NOW + 2 * MINUTE + 19 * SECOND)
    assert tick(ticker) == {"FIRED": 1}


def test_the_broker_keeps_the_deadline_of_a_ticker_that_was_stopped_before_it_fired(
    brokers: Sample,
) -> None:
    ticker = started(brokers, timing=Every(MINUTE), starting_deadline_s=20.0)
    brokers.at(NOW + 59 * SECOND)
    ticker.run_once()
    fires = list(ticker._prepared)
    brokers.at(NOW + 81 * SECOND)

    assert [answer.what for answer in ticker._store.fire(fires)] == ["LATE"]
    assert take(brokers.broker) == []


def test_nothing_is_fired_early_whatever_a_ticker_believes(brokers: Sample) -> None:
    ticker = started(brokers)
    brokers.at(NOW + 9 * SECOND)
    ticker.run_once()

    answers = ticker._store.fire(list(ticker._prepared))

    assert [answer.what for answer in answers] == ["EARLY"]
    assert take(brokers.broker) == []


def test_forbid_passes_over_a_time_while_a_run_has_not_ended(brokers: Sample) -> None:
    ticker = started(brokers, overlap=Overlap.FORBID)
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)
    brokers.at(NOW + 20 * SECOND)
    assert tick(ticker) == {"OVERLAP": 1}
    (running,) = take(brokers.broker)
    brokers.at(NOW + 30 * SECOND)
    assert tick(ticker) == {"OVERLAP": 1}

    brokers.broker.exchange([ended(running)], None)
    brokers.at(NOW + 40 * SECOND)
    assert tick(ticker) == {"FIRED": 1}
    assert read_schedule(brokers.broker, "s").overlaps == 2


@pytest.mark.parametrize("ending", ["dead", "kept", "revoked", "expired"])
def test_forbid_waits_for_nothing_that_will_not_run(brokers: Sample, ending: str) -> None:
    ticker = started(brokers, overlap=Overlap.FORBID, ttl_ms=8 * SECOND)
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)
    (run,) = read_schedule(brokers.broker, "s").active
    if ending == "dead":
        (delivery,) = take(brokers.broker)
        bury = Bury(
            id=run.id, queue="q", token=delivery.token, reason="rejected", detail="", worker="w"
        )
        brokers.broker.exchange([bury], None)
    elif ending == "kept":
        (delivery,) = take(brokers.broker)
        end = DeadEnd(
            id=run.id, queue="q", token=delivery.token, reason="expired", detail="", worker="w",
            state="REVOKED",
        )  # fmt: skip
        brokers.broker.exchange([end], None)
    elif ending == "revoked":
        brokers.broker.revoke([run.id])

    brokers.at(NOW + 20 * SECOND)
    assert tick(ticker) == {"FIRED": 1}
    assert read_schedule(brokers.broker, "s").failures == (1 if ending == "dead" else 0)


def test_replace_takes_the_run_before_back(brokers: Sample) -> None:
    ticker = started(brokers, overlap=Overlap.REPLACE)
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)
    (first,) = read_schedule(brokers.broker, "s").active
    (running,) = take(brokers.broker)
    assert running.id == first.id

    brokers.at(NOW + 20 * SECOND)
    assert tick(ticker) == {"FIRED": 1}

    assert brokers.broker.revoked([first.id]) == {first.id: "SIGTERM"}
    (second,) = take(brokers.broker)
    assert second.id != first.id


def test_a_stale_ticker_ends_no_run_of_the_time_it_comes_too_late_for(brokers: Sample) -> None:
    stale = started(brokers, overlap=Overlap.REPLACE)
    brokers.at(NOW + 9 * SECOND)
    stale.run_once()
    fires = list(stale._prepared)
    brokers.at(NOW + 10 * SECOND)
    assert tick(make_ticker(brokers.other, "ticker")) == {"FIRED": 1}

    stale._replace(fires)

    (delivery,) = take(brokers.broker)
    assert not delivery.revoked
    assert brokers.broker.revoked([delivery.id]) == {}


def test_jitter_is_the_same_on_every_ticker_and_keeps_the_nominal_time(brokers: Sample) -> None:
    ticker = started(brokers, timing=Every(MINUTE), jitter_s=30.0)
    ticker.run_once()
    step = ticker._store.tick("ticker", lead_ms=5000, ahead_ms=2 * MINUTE, limit=9)
    ((_, fire_at_ms),) = step.due
    assert NOW + MINUTE < fire_at_ms <= NOW + MINUTE + 30 * SECOND

    brokers.at(fire_at_ms - 1)
    assert tick(ticker) == {}
    brokers.at(fire_at_ms)
    assert tick(ticker) == {"FIRED": 1}
    assert read_schedule(brokers.broker, "s").last_ms == NOW + MINUTE


def test_start_end_and_max_runs_bound_it(brokers: Sample) -> None:
    entry = make_entry(start_ms=NOW + MINUTE, end_ms=NOW + MINUTE + 25 * SECOND)
    put_schedule(brokers.broker, entry)
    put_schedule(brokers.broker, make_entry("two", max_runs=2))
    ticker = make_ticker(brokers.broker)
    fired = 0
    for second in range(0, 200, 5):
        brokers.at(NOW + second * SECOND)
        fired += tick(ticker).get("FIRED", 0)

    assert fired == 3 + 2
    both = {each.entry.name: each for each in schedules.read_schedules(brokers.broker)}
    assert [both["s"].fired, both["two"].fired] == [3, 2]
    assert [both["s"].next_ms, both["two"].next_ms] == [None, None]
    assert both["s"].last_fired_ms == NOW + MINUTE + 20 * SECOND
