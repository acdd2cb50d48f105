"""The scripts of limits: freeing slots, putting limits right, saying what they are."""

from __future__ import annotations

import json

import pytest

from broker_state import LEASE_MS, NOW, at, done, fetch, ids_of, read, settle
from builders import make_message
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.limits import TaskLimits, declare_limits, set_limits, unset_limits
from windlass.messages import Headers
from windlass.redis_store import limiting

TASK = "shop.mail"


def send(broker: RedisBroker, *ids: str, queue: str = "q", key: str | None = None) -> None:
    headers = Headers(key=key)
    broker.enqueue([make_message(TASK, id=id_, queue=queue, headers=headers) for id_ in ids])


def used(broker: RedisBroker, gate: str = f"c{TASK}") -> int:
    return int(read(broker, "HGET", broker.keys.gates, f"n{gate}") or 0)


def retry(broker: RedisBroker, gate: str = f"c{TASK}", queue: str = "q") -> float | None:
    score = read(broker, "ZSCORE", broker.keys.queue(queue).retry, gate)
    return None if score is None else float(score)


def free(broker: RedisBroker, *pairs: tuple[str, int]) -> list[bytes]:
    return broker.links.call([limiting.free(broker.keys, "q", pairs)])[0]


# -- free_slots


def test_a_slot_is_freed_once_and_only_under_its_token(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=2)})
    send(broker, "one", "two")
    one, two = fetch(broker).deliveries
    assert one.token < 0, "whoever settles it knows that others may wait"
    assert used(broker) == 2

    free(broker, ("one", one.token - 1), ("nobody", 1))
    assert used(broker) == 2
    free(broker, ("one", one.token), ("one", one.token))
    free(broker, ("one", one.token))
    assert used(broker) == 1
    free(broker, ("two", two.token))
    assert read(broker, "EXISTS", broker.keys.holds) == 0


def test_what_waits_for_a_slot_is_tried_when_it_is_free_in_other_queues_too(
    broker: RedisBroker,
) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=1)})
    send(broker, "one", "two")
    send(broker, "three", queue="other")
    (one,) = fetch(broker).deliveries
    fetch(broker, queues=("other",))
    assert (retry(broker), retry(broker, queue="other")) == (float("inf"), float("inf"))

    assert free(broker, ("one", one.token)) == [b"other", f"c{TASK}".encode()]
    assert retry(broker) == 0
    settle(broker, done(one))  # the broker tells the others
    assert retry(broker, queue="other") == float("inf"), "its slot was freed before"


def test_freeing_wakes_one_for_each_gate_that_somebody_waits_for(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=1)})
    send(broker, "one")
    (one,) = fetch(broker, wait_ms=5_000).deliveries
    fetch(broker, wait_ms=5_000)
    wake = broker.keys.queue("q").wake
    settle(broker, done(one))
    assert read(broker, "LLEN", wake) == 0

    send(broker, "two", "three")
    (two,) = fetch(broker, wait_ms=5_000).deliveries
    fetch(broker, wait_ms=5_000)
    settle(broker, done(two))
    assert read(broker, "LLEN", wake) == 1


def test_a_grant_without_slots_has_a_token_above_zero(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(rate_limit="100/s")})
    send(broker, "one")
    (one,) = fetch(broker).deliveries

    assert one.token > 0
    assert read(broker, "EXISTS", broker.keys.holds) == 0


# -- sweep_limits


def test_sweeping_frees_the_slot_of_a_message_that_is_leased_no_more(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=1)})
    send(broker, "one", "two")
    (one,) = fetch(broker).deliveries
    fetch(broker)
    assert broker.sweep_limits("q") == 0
    # The worker died between the end of the lease and the freeing.
    read(broker, "HDEL", broker.keys.queue("q").leased, "one")

    assert broker.sweep_limits("other") == 0
    assert broker.sweep_limits("q") == 1
    assert used(broker) == 0
    assert ids_of(fetch(broker)) == ["two"]
    assert broker.sweep_limits("q") == 0
    settle(broker, done(one))
    assert used(broker) == 1


@pytest.mark.parametrize("lost", ["holds", "gates"])
def test_counts_that_do_not_fit_the_slots_are_put_right(broker: RedisBroker, lost: str) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=2)})
    send(broker, "one")
    fetch(broker)
    if lost == "holds":
        read(broker, "DEL", broker.keys.holds)
    else:
        read(broker, "HSET", broker.keys.gates, f"n{TASK}", 7, f"nc{TASK}", 9)

    broker.sweep_limits("q")
    assert used(broker) == (0 if lost == "holds" else 1)
    assert read(broker, "HGET", broker.keys.gates, f"n{TASK}") is None


def test_sweeping_tries_what_has_room_and_leaves_what_has_none(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=1)})
    send(broker, "one", "two")
    fetch(broker)
    broker.sweep_limits("q")
    assert retry(broker) == float("inf")

    declare_limits(broker, {TASK: TaskLimits(max_concurrency=2)})
    assert retry(broker) == 0


# -- set_limits


def test_scripts_read_what_is_declared_under_what_was_set(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(rate_limit="5/s", max_concurrency=2)})
    set_limits(broker, TASK, rate_limit=None, fair_share=True)
    held = json.loads(read(broker, "HGET", broker.keys.limits, TASK))
    assert held == {"max": 2, "fair": True}

    unset_limits(broker, TASK)
    declare_limits(broker, {TASK: TaskLimits()})
    assert read(broker, "EXISTS", broker.keys.limits, broker.keys.limits_given) == 0


# -- a clock that goes back, a rate that changes


def test_a_clock_that_goes_back_holds_nothing_up(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(rate_limit="10/s")})
    send(broker, "one", "two", "three")
    assert ids_of(fetch(broker)) == ["one"]
    at(broker, NOW - 3_600_000)
    broker.sweep_limits("q")

    waits = fetch(broker)
    assert NOW - 3_600_000 < waits.next_due_ms <= NOW - 3_600_000 + 200


def test_a_message_that_a_lost_worker_held_takes_its_slot_anew(broker: RedisBroker) -> None:
    declare_limits(broker, {TASK: TaskLimits(max_concurrency=1)})
    send(broker, "one")
    fetch(broker)
    at(broker, NOW + LEASE_MS + 1)
    # Reaped, and nobody came to free its slot.
    broker._upkeep.reap("q", "w2", lambda _: None)
    assert used(broker) == 1

    assert ids_of(fetch(broker)) == ["one"]
    assert used(broker) == 1
