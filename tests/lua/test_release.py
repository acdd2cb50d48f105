from __future__ import annotations

from broker_state import (
    fetch,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    ready_ids,
    send,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.base import Delivery, HandBack
from windlass.brokers.redis import RedisBroker


def back(delivery: Delivery, *, counted: bool = False) -> HandBack:
    return HandBack(id=delivery.id, queue=delivery.queue, token=delivery.token, counted=counted)


def test_messages_go_back_to_the_front_in_their_order(broker: RedisBroker) -> None:
    send(broker, "a", "b", "c")
    send(broker, "urgent", priority=9)
    deliveries = fetch(broker, 3).deliveries

    assert settle(broker, *map(back, deliveries)) == []

    assert ["urgent", "a", "b", "c"] == ready_ids(broker) == ids_of(fetch(broker))


def test_the_batch_that_was_handed_back_leaves_no_grant(broker: RedisBroker) -> None:
    settle(broker, *map(back, lease(broker, "a", "b")))
    broker.purge("q")

    assert leftovers(broker) == []


def test_only_what_is_counted_is_counted_and_never_as_a_delivery(broker: RedisBroker) -> None:
    first, second = lease(broker, "a", "b")

    settle(broker, back(first, counted=True), back(second))

    first, second = fetch(broker).deliveries
    assert [(d.deliveries, d.handbacks) for d in (first, second)] == [(0, 1), (0, 0)]


def test_stale_tokens_and_repeats_do_nothing(broker: RedisBroker) -> None:
    first, second = lease(broker, "a", "b")
    settle(broker, back(first, counted=True))
    second.token -= 1
    before = snapshot(broker)

    assert {"a", "b"} == set(settle(broker, back(first, counted=True), back(second)))
    assert before == snapshot(broker)


def test_twice_in_one_batch_counts_once(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")

    assert settle(broker, back(delivery, counted=True), back(delivery, counted=True)) == ["a"]
    assert places(broker, "a") == ["ready"]
    assert fetch(broker).deliveries[0].handbacks == 1


def test_waiting_workers_are_woken(broker: RedisBroker) -> None:
    deliveries = lease(broker, *(f"m{n}" for n in range(20)))
    fetch(broker, wait_ms=5_000)

    settle(broker, *map(back, deliveries))

    assert read(broker, "LLEN", broker.keys.queue("q").wake) == 16


def test_a_full_broker_takes_messages_back(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    (delivery,) = lease(broker, "a")
    with out_of_memory(each_redis_server):
        assert settle(broker, back(delivery, counted=True)) == []

    assert places(broker, "a") == ["ready"]
