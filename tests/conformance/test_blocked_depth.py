"""What a limit holds counts as waiting once it may be tried, with or without a worker alive."""

from __future__ import annotations

from broker_samples import Sample, depth
from broker_state import NOW, done, fetch, ids_of, settle
from builders import make_message
from windlass.control_plane.limits import TaskLimits, declare_limits

TASK = "shop.mail"


def send(brokers: Sample, *ids: str) -> None:
    brokers.broker.enqueue([make_message(TASK, id=id_, queue="q") for id_ in ids])


def test_a_rate_that_lets_one_through_again_wakes_a_pool_at_zero(brokers: Sample) -> None:
    declare_limits(brokers.broker, {TASK: TaskLimits(rate_limit="10/s")})
    send(brokers, "a", "b", "c")
    assert ids_of(fetch(brokers.broker)) == ["a"]
    held = depth(brokers.broker)

    brokers.at(NOW + 100)
    due = depth(brokers.broker)

    assert (held.open, held.blocked, held.due_soon, held.next_due_ms) == (0, 2, 1, NOW + 100)
    assert (due.open, due.blocked, due.due_soon, due.next_due_ms) == (1, 1, 0, 0)
    assert ids_of(fetch(brokers.broker)) == ["b"]
    assert (depth(brokers.broker).open, depth(brokers.broker).blocked) == (0, 1)


def test_a_slot_that_is_free_again_does_too_and_no_time_does(brokers: Sample) -> None:
    declare_limits(brokers.broker, {TASK: TaskLimits(max_concurrency=1)})
    send(brokers, "a", "b")
    (running,) = fetch(brokers.broker).deliveries

    brokers.at(NOW + 10_000)
    held = depth(brokers.broker)
    assert settle(brokers.broker, done(running)) == []
    free = depth(brokers.broker)

    assert (held.open, held.blocked, held.due_soon, held.next_due_ms) == (0, 1, 0, 0)
    assert (free.open, free.blocked) == (1, 0)
    (again,) = fetch(brokers.broker).deliveries
    assert settle(brokers.broker, done(again)) == []
    assert (depth(brokers.broker).open, depth(brokers.broker).blocked) == (0, 0)


def test_nothing_blocked_is_nothing_to_be_tried_whatever_is_left_of_a_line(
    brokers: Sample,
) -> None:
    declare_limits(brokers.broker, {TASK: TaskLimits(rate_limit="10/s")})
    send(brokers, "a", "b")
    fetch(brokers.broker)
    brokers.broker.revoke(["b"], result_for=lambda _: None)

    brokers.at(NOW + 5000)
    now = depth(brokers.broker)

    assert (now.open, now.blocked, now.due_soon) == (0, 0, 0)
