from __future__ import annotations

from broker_state import (
    FINAL,
    NOW,
    at,
    done,
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
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Bury, HandBack
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import purge_dead, replay
from windlass.messages import decode_message


def bury(broker: RedisBroker, *ids: str, **options: object) -> None:
    for d in lease(broker, *ids, **options):
        settle(
            broker,
            Bury(
                id=d.id, queue="q", token=d.token, reason="rejected", detail="", worker="w",
                result=FINAL,
            ),
        )  # fmt: skip


def test_a_dead_letter_is_ready_again_as_if_new(broker: RedisBroker) -> None:
    send(broker, "before")
    fetch(broker)
    bury(broker, "a", priority=6, ttl_ms=900)
    send(broker, "b", priority=6)
    at(broker, NOW + 5_000)

    assert replay(broker, "q", ["a"]) == 1

    assert ready_ids(broker) == ["b", "a"]
    message = decode_message("a", read(broker, "HGET", broker.keys.messages, "a"))
    assert (message.enqueued_ms, message.expires_ms, message.priority) == (NOW + 5_000, 0, 6)
    assert read(broker, "EXISTS", broker.keys.result("a")) == 0


def test_the_senders_bytes_are_untouched(broker: RedisBroker) -> None:
    bury(broker, "a", body=bytes(range(256)))
    before = read(broker, "HGET", broker.keys.messages, "a")

    replay(broker, "q", ["a"])
    assert before[20:] == read(broker, "HGET", broker.keys.messages, "a")[20:]


def test_counters_and_tombstone_are_forgotten(broker: RedisBroker) -> None:
    (d,) = lease(broker, "a")
    settle(broker, HandBack(id="a", queue="q", token=d.token, counted=True))
    (d,) = fetch(broker).deliveries
    broker.revoke(["a"], terminate=True)
    settle(broker, Bury(id="a", queue="q", token=d.token, reason="x", detail="", worker="w"))

    replay(broker, "q", ["a"])

    (again,) = fetch(broker).deliveries
    assert (again.deliveries, again.handbacks, again.revoked) == (0, 0, False)
    assert broker.revoked(["a"]) == {}


def test_others_are_passed_over_and_twice_is_once(broker: RedisBroker) -> None:
    bury(broker, "dead")
    send(broker, "ready")
    send(broker, "late", delay_ms=50)

    assert replay(broker, "q", ["ready", "late", "never.was", "dead", "dead"]) == 1
    before = snapshot(broker)
    assert replay(broker, "q", ["dead"]) == 0
    assert replay(broker, "q", []) == 0
    assert before == snapshot(broker)


def test_a_purged_dead_letter_does_not_come_back(broker: RedisBroker) -> None:
    bury(broker, "a")
    purge_dead(broker, "q", ["a"])

    assert replay(broker, "q", ["a"]) == 0
    assert leftovers(broker) == []


def test_a_replayed_message_that_was_purged_is_gone_and_may_be_sent_again(
    broker: RedisBroker,
) -> None:
    bury(broker, "a")
    replay(broker, "q", ["a"])
    assert broker.purge("q") == 1

    assert replay(broker, "q", ["a"]) == 0
    assert leftovers(broker) == []
    assert broker.enqueue([make_message(id="a", queue="q")]) == [True]


def test_messages_of_another_version_keep_all_their_bytes(broker: RedisBroker) -> None:
    newer = b"\x02" + b"5" + b"anything a newer version may have meant"
    damaged = b"\x01"
    for id_, raw in (("newer", newer), ("damaged", damaged)):
        bury(broker, id_)
        read(broker, "HSET", broker.keys.messages, id_, raw)

    assert replay(broker, "q", ["newer", "damaged"]) == 2

    assert [d.raw for d in fetch(broker).deliveries] == [newer, damaged]


def test_more_than_a_page_at_once(broker: RedisBroker) -> None:
    ids = [f"m{n:04}" for n in range(1_200)]
    for start in range(0, 1_200, 400):
        bury(broker, *ids[start : start + 400])

    assert replay(broker, "q", ids) == 1_200
    assert ids == [*ids_of(fetch(broker, 1_000)), *ids_of(fetch(broker, 1_000))]


def test_a_full_broker_replays(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    bury(broker, "a")
    with out_of_memory(each_redis_server):
        assert replay(broker, "q", ["a"]) == 1

    assert places(broker, "a") == ["ready"]
    settle(broker, *map(done, fetch(broker).deliveries))
    assert leftovers(broker) == []
