from __future__ import annotations

from broker_state import (
    FINAL,
    fetch,
    has_bytes,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.base import Crashed, Delivery, StoredResult
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import purge_dead, show_dead
from windlass.control_plane.queue_record import write_record


def crashed(delivery: Delivery, result: StoredResult | None = FINAL) -> Crashed:
    return Crashed(
        id=delivery.id, queue=delivery.queue, token=delivery.token, reason="signal 9 (SIGKILL)",
        worker="w1", result=result,
    )  # fmt: skip


def test_a_crash_counts_a_delivery_and_gives_the_message_back(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")

    assert settle(broker, crashed(delivery)) == []

    assert places(broker, "a") == ["ready"]
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0
    assert fetch(broker).deliveries[0].deliveries == 1


def test_at_the_cap_it_is_a_dead_letter_with_its_outcome(broker: RedisBroker) -> None:
    for _ in range(2):
        settle(broker, crashed(lease(broker, "a")[0]))

    settle(broker, crashed(fetch(broker).deliveries[0]))

    letter = show_dead(broker, "q", "a")
    assert letter is not None
    assert (
        letter.reason, letter.detail, letter.deliveries, letter.worker,
    ) == ("max_deliveries", "signal 9 (SIGKILL)", 3, "w1")  # fmt: skip
    assert places(broker, "a") == ["dead"]
    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert purge_dead(broker, "q") == 1
    assert leftovers(broker) == []


def test_the_queue_record_names_the_cap(broker: RedisBroker) -> None:
    write_record(broker, "q", max_deliveries=1)

    settle(broker, crashed(lease(broker, "a")[0]))

    assert places(broker, "a") == ["dead"]
    assert has_bytes(broker, "a")


def test_a_stale_token_or_a_repeat_counts_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, crashed(delivery))
    before = snapshot(broker)

    assert settle(broker, crashed(delivery)) == ["a"]
    assert before == snapshot(broker)


def test_a_full_broker_counts_a_crash(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    (delivery,) = lease(broker, "a")
    with out_of_memory(each_redis_server):
        assert settle(broker, crashed(delivery)) == []

    assert fetch(broker).deliveries[0].deliveries == 1
