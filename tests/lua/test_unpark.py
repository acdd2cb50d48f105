from __future__ import annotations

from broker_state import (
    fetch,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.base import Park
from windlass.brokers.redis import RedisBroker


def parked(broker: RedisBroker, *ids: str, task: str = "tests.new") -> None:
    for delivery in lease(broker, *ids):
        settle(broker, Park(id=delivery.id, queue="q", token=delivery.token, task=task))


def test_only_messages_of_known_tasks_become_ready(broker: RedisBroker) -> None:
    parked(broker, "a")
    parked(broker, "b", task="tests.unheard")

    assert broker.unpark("q", ["tests.new", "tests.other"]) == 1
    assert [places(broker, id_) for id_ in "ab"] == [["ready"], ["parked"]]


def test_nothing_parked_or_nothing_known_moves_nothing(broker: RedisBroker) -> None:
    assert broker.unpark("q", ["tests.new"]) == 0
    parked(broker, "a")
    before = snapshot(broker)

    assert broker.unpark("q", ["tests.heard"]) == 0
    assert broker.unpark("q", []) == 0
    assert before == snapshot(broker)


def test_twice_moves_once(broker: RedisBroker) -> None:
    parked(broker, "a")

    assert [broker.unpark("q", ["tests.new"]) for _ in range(2)] == [1, 0]
    assert places(broker, "a") == ["ready"]


def test_thousands_are_moved_page_by_page_and_none_is_missed(broker: RedisBroker) -> None:
    ids = [f"m{n:04}" for n in range(3_000)]
    for start in range(0, 3_000, 1_000):
        parked(broker, *ids[start : start + 1_000])

    assert broker.unpark("q", ["tests.new"]) == 3_000
    got = [id_ for _ in range(3) for id_ in ids_of(fetch(broker, 1_000))]
    assert ids == sorted(got)


def test_waiting_workers_are_woken(broker: RedisBroker) -> None:
    parked(broker, "a")
    fetch(broker, wait_ms=5_000)

    broker.unpark("q", ["tests.new"])
    assert read(broker, "LLEN", broker.keys.queue("q").wake) == 1


def test_a_full_broker_unparks(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    parked(broker, "a")
    with out_of_memory(each_redis_server):
        assert broker.unpark("q", ["tests.new"]) == 1
    broker.purge("q")

    assert leftovers(broker) == []
