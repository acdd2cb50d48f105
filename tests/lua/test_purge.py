from __future__ import annotations

from broker_state import (
    NOW,
    at,
    done,
    fetch,
    has_bytes,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    send,
    settle,
)
from builders import make_messages
from redis_server import RedisServer
from windlass.brokers.base import Bury, HandBack, Park
from windlass.brokers.redis import RedisBroker


def test_ready_scheduled_and_parked_go_while_leased_and_dead_stay(broker: RedisBroker) -> None:
    parked, leased, dead = lease(broker, "parked", "leased", "dead")
    settle(
        broker,
        Park(id="parked", queue="q", token=parked.token, task="tests.unknown"),
        Bury(id="dead", queue="q", token=dead.token, reason="x", detail="", worker="w"),
    )
    send(broker, "ready")
    send(broker, "urgent", priority=9)
    send(broker, "late", delay_ms=500)
    send(broker, "elsewhere", queue="other")

    assert broker.purge("q") == 4

    assert places(broker, "leased") == ["leased"]
    assert places(broker, "dead") == ["dead"]
    assert ids_of(fetch(broker, queues=("other",))) == ["elsewhere"]
    assert not any(has_bytes(broker, id_) for id_ in ("parked", "ready", "urgent", "late"))
    assert settle(broker, done(leased)) == []


def test_an_empty_queue_and_a_second_purge_delete_nothing(broker: RedisBroker) -> None:
    send(broker, "a")

    assert [broker.purge("q") for _ in range(2)] == [1, 0]
    assert broker.purge("never.was") == 0
    assert leftovers(broker) == []


def test_revoked_messages_are_cleared_and_not_counted(broker: RedisBroker) -> None:
    send(broker, "a", "b", "c")
    broker.revoke(["b"])

    assert broker.purge("q") == 2
    assert leftovers(broker) == []


def test_counters_of_purged_messages_go_with_them(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, HandBack(id="a", queue="q", token=delivery.token, counted=True))
    broker.purge("q")

    assert leftovers(broker) == []
    send(broker, "a")
    assert fetch(broker).deliveries[0].handbacks == 0


def test_thousands_in_every_place_go_in_bounded_steps(broker: RedisBroker) -> None:
    broker.enqueue(make_messages(1_300, queue="q"))
    broker.enqueue(make_messages(1_300, queue="q", delay_ms=5, priority=3))
    deliveries = fetch(broker, 1_000).deliveries
    parks = [Park(id=d.id, queue="q", token=d.token, task=f"t.{d.id}") for d in deliveries]
    settle(broker, *parks)

    assert broker.purge("q") == 2_600
    at(broker, NOW + 5)
    assert fetch(broker).deliveries == []
    assert leftovers(broker) == []


def test_a_purged_message_cannot_come_back_by_a_late_settlement(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    back = HandBack(id="a", queue="q", token=delivery.token)
    settle(broker, back)
    broker.purge("q")

    assert settle(broker, back) == ["a"]
    assert fetch(broker).deliveries == []


def test_a_full_broker_purges(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    send(broker, "a")
    with out_of_memory(each_redis_server):
        assert broker.purge("q") == 1
