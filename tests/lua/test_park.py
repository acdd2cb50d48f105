from __future__ import annotations

from broker_state import fetch, lease, leftovers, out_of_memory, places, read, settle, snapshot
from redis_server import RedisServer
from windlass.brokers.base import Delivery, Park
from windlass.brokers.redis import RedisBroker


def park(delivery: Delivery, task: str = "tests.unknown") -> Park:
    return Park(id=delivery.id, queue=delivery.queue, token=delivery.token, task=task)


def test_message_is_set_aside_and_workers_are_told(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")

    assert settle(broker, park(delivery)) == []

    assert places(broker, "a") == ["parked"]
    fetched = fetch(broker)
    assert (fetched.deliveries, fetched.parked) == ([], {"q": 1})


def test_each_parking_makes_a_new_generation(broker: RedisBroker) -> None:
    for delivery in lease(broker, "a", "b"):
        settle(broker, park(delivery))

    assert fetch(broker).parked == {"q": 2}


def test_it_is_not_counted_as_anything(broker: RedisBroker) -> None:
    settle(broker, park(lease(broker, "a")[0]))

    assert read(broker, "EXISTS", broker.keys.attempts) == 0


def test_a_stale_token_or_a_repeat_does_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, park(delivery))
    before = snapshot(broker)

    assert settle(broker, park(delivery)) == ["a"]
    assert before == snapshot(broker)


def test_a_full_broker_parks(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    (delivery,) = lease(broker, "a")
    with out_of_memory(each_redis_server):
        assert settle(broker, park(delivery)) == []

    broker.purge("q")
    assert leftovers(broker) == []
