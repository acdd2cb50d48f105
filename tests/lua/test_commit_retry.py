from __future__ import annotations

import pytest

from broker_state import (
    NOW,
    PENDING,
    at,
    done,
    fetch,
    has_bytes,
    ids_of,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    settle,
    snapshot,
)
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Again, Delivery, HandBack
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import list_queues, read_depths
from windlass.messages import decode_message


def again(delivery: Delivery, task: str = "tests.noop", **options: object) -> Again:
    queue = str(options.pop("to", delivery.queue))
    return Again(
        id=delivery.id,
        queue=delivery.queue,
        token=delivery.token,
        message=make_message(task, id=delivery.id, queue=queue, **options),
        result=PENDING,
    )


@pytest.mark.parametrize(("delay_ms", "place"), [(0, "ready"), (700, "scheduled")])
def test_the_next_try_takes_the_messages_place_under_its_id(
    broker: RedisBroker, delay_ms: int, place: str
) -> None:
    (delivery,) = lease(broker, "a")

    assert settle(broker, again(delivery, "tests.second", delay_ms=delay_ms, priority=3)) == []

    assert [place] == places(broker, "a")
    message = decode_message("a", read(broker, "HGET", broker.keys.messages, "a"))
    assert ("tests.second", 3, NOW + delay_ms) == (message.task, message.priority, message.due_ms)
    assert PENDING.payload == read(broker, "GET", broker.keys.result("a"))


def test_it_may_move_to_another_queue(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")

    settle(broker, again(delivery, to="other"))

    assert places(broker, "a", "q") == []
    assert ids_of(fetch(broker, queues=("other",))) == ["a"]
    assert list_queues(broker) == ["other", "q"]
    assert read_depths(broker, ["q"])[0].leased == 0


def test_a_stale_token_or_a_repeat_does_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    retry = again(delivery)
    settle(broker, retry)
    before = snapshot(broker)

    assert settle(broker, retry) == ["a"]
    assert before == snapshot(broker)


def test_crashes_of_the_try_before_are_forgotten(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, HandBack(id="a", queue="q", token=delivery.token, counted=True))
    (delivery,) = fetch(broker).deliveries
    settle(broker, again(delivery))

    (delivery,) = fetch(broker).deliveries
    assert (delivery.deliveries, delivery.handbacks) == (0, 0)


def test_a_full_broker_takes_a_retry(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    (delivery,) = lease(broker, "a")
    with out_of_memory(each_redis_server):
        assert settle(broker, again(delivery, delay_ms=5)) == []

    at(broker, NOW + 5)
    settle(broker, *map(done, fetch(broker).deliveries))
    assert not has_bytes(broker, "a")
    assert leftovers(broker) == []
