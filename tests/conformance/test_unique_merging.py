"""Debounce and throttle: calls that come to one message, on every broker."""

from __future__ import annotations

from typing import Any

from broker_samples import Sample
from broker_state import NOW
from unique_samples import args_in, claim, make_unique, take
from windlass.brokers.unique import Claimed


def new(id_: str) -> Claimed:
    return Claimed(id_, is_new=True)


def test_debounced_calls_are_one_run_with_the_last_arguments_after_a_silence(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    assert claim(broker, "a", "debounce", 1, period_ms=100) == new("a")
    brokers.at(NOW + 60)
    assert claim(broker, "b", "debounce", 2, period_ms=100) == Claimed("a", is_merged=True)
    brokers.at(NOW + 120)
    assert claim(broker, "c", "debounce", 3, period_ms=100, priority=7) == Claimed(
        "a", is_merged=True
    )

    brokers.at(NOW + 219)
    assert take(broker) == []
    brokers.at(NOW + 220)
    (run,) = take(broker)
    assert (run.id, args_in(run)) == ("a", [3])
    assert claim(broker, "d", "debounce", 4, period_ms=100) == new("d")


def test_a_debounced_run_waits_no_longer_than_max_wait_after_the_first_call(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    for ms in range(0, 250, 50):
        brokers.at(NOW + ms)
        claim(broker, f"m{ms}", "debounce", ms, period_ms=100, max_wait_ms=250)

    brokers.at(NOW + 249)
    assert take(broker) == []
    brokers.at(NOW + 250)
    assert [args_in(each) for each in take(broker)] == [[200]]


def test_a_debounced_run_that_is_due_and_still_waits_takes_the_newest_arguments_and_stays_due(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    claim(broker, "a", "debounce", 1, period_ms=100)
    brokers.at(NOW + 100)
    claim(broker, "b", "debounce", 2, period_ms=100)

    (run,) = take(broker)
    assert (run.id, args_in(run)) == ("a", [2])


def test_a_throttled_call_runs_at_once_and_those_within_the_period_are_one_run_at_its_end(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    assert claim(broker, "a", "throttle", 1, period_ms=100) == new("a")
    assert [each.id for each in take(broker)] == ["a"]
    brokers.at(NOW + 30)
    assert claim(broker, "b", "throttle", 2, period_ms=100) == new("b")
    brokers.at(NOW + 60)
    assert claim(broker, "c", "throttle", 3, period_ms=100) == Claimed("b", is_merged=True)

    brokers.at(NOW + 99)
    assert take(broker) == []
    brokers.at(NOW + 100)
    (run,) = take(broker)
    assert (run.id, args_in(run)) == ("b", [3])
    brokers.at(NOW + 150)
    claim(broker, "d", "throttle", 4, period_ms=100)
    brokers.at(NOW + 199)
    assert take(broker) == []
    brokers.at(NOW + 200)
    assert [each.id for each in take(broker)] == ["d"]
    brokers.at(NOW + 300)
    assert claim(broker, "e", "throttle", 5, period_ms=100) == new("e")
    assert [each.id for each in take(broker)] == ["e"]


def test_a_merged_message_moves_to_the_queue_and_priority_of_the_newest_call(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    claim(broker, "a", "debounce", 1, period_ms=100, queue="elsewhere", priority=3)
    claim(broker, "b", "debounce", 2, period_ms=100, priority=9)

    brokers.at(NOW + 100)
    assert take(broker, queue="elsewhere") == []
    assert [args_in(each) for each in take(broker)] == [[2]]


def test_a_ready_one_that_cannot_be_moved_is_left_and_the_newest_call_is_sent_beside_it(
    broker: Any,
) -> None:
    claim(broker, "a", "throttle", 1, period_ms=100, queue="elsewhere")

    assert claim(broker, "b", "throttle", 2, period_ms=100) == new("b")
    assert [args_in(each) for each in take(broker, queue="elsewhere")] == [[1]]


def test_a_tail_is_made_for_the_id_that_it_is_stored_under_where_that_is_asked_for(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    claim(broker, "a", "debounce", 1, period_ms=100)
    again = make_unique("b", "debounce", 2, period_ms=100)
    (answer,) = broker.enqueue_unique(
        [again], tails=lambda index, id_: make_unique(id_, "debounce", index, id_).tail
    )
    assert answer == Claimed("a", is_merged=True)

    brokers.at(NOW + 100)
    assert [args_in(each) for each in take(broker)] == [[0, "a"]]
