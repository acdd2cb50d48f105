from __future__ import annotations

import msgspec
import pytest

from broker_state import (
    NOW,
    at,
    fetch,
    has_bytes,
    ids_of,
    out_of_memory,
    places,
    read,
    ready_ids,
    send,
    snapshot,
)
from builders import make_message, make_messages
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerFullError
from windlass.messages import decode_message

LAST_MS = 2**48 - 1  # the prefix has six bytes for a time


def test_message_becomes_ready_and_is_stamped_with_the_brokers_clock(broker: RedisBroker) -> None:
    assert broker.enqueue([make_message(id="a", queue="q", priority=7)]) == [True]

    message = decode_message("a", read(broker, "HGET", broker.keys.messages, "a"))
    assert places(broker, "a") == ["ready"]
    assert (
        message.priority, message.enqueued_ms, message.due_ms, message.expires_ms,
    ) == (7, NOW, 0, 0)  # fmt: skip


@pytest.mark.parametrize(
    ("times", "place", "due_ms", "expires_ms"),
    [
        ({"delay_ms": 500}, "scheduled", NOW + 500, 0),
        ({"delay_ms": 0}, "ready", NOW, 0),
        ({"eta_ms": NOW + 1}, "scheduled", NOW + 1, 0),
        ({"eta_ms": NOW}, "ready", NOW, 0),
        ({"eta_ms": NOW - 5}, "ready", NOW - 5, 0),
        ({"eta_ms": -5}, "ready", 1, 0),
        ({"delay_ms": 10**18}, "scheduled", LAST_MS, 0),
        ({"ttl_ms": 900}, "ready", 0, NOW + 900),
        ({"expires_at_ms": NOW - 900}, "ready", 0, NOW - 900),
        ({"expires_at_ms": -1}, "ready", 0, 1),
        ({"delay_ms": 5, "ttl_ms": 10**18}, "scheduled", NOW + 5, LAST_MS),
    ],
)
def test_times_become_absolute_by_the_brokers_clock(
    broker: RedisBroker, times: dict[str, int], place: str, due_ms: int, expires_ms: int
) -> None:
    send(broker, "a", **times)

    message = decode_message("a", read(broker, "HGET", broker.keys.messages, "a"))
    assert [place] == places(broker, "a")
    assert (due_ms, expires_ms) == (message.due_ms, message.expires_ms)


def test_an_id_that_is_there_is_left_as_it_is_wherever_it_is(broker: RedisBroker) -> None:
    messages = [
        make_message(id="plain", queue="q"),
        make_message(id="late", queue="q", delay_ms=9_000),
    ]
    broker.enqueue(messages)
    before = snapshot(broker)

    at(broker, NOW + 1)
    changed = [msgspec.structs.replace(message, tail=message.tail + b"!") for message in messages]

    assert broker.enqueue(changed) == [False, False]
    assert broker.enqueue([changed[0]]) == [False]
    assert before == snapshot(broker)


def test_an_id_twice_in_one_call_is_stored_once(broker: RedisBroker) -> None:
    fresh = broker.enqueue([make_message(id=id_, queue="q") for id_ in ("a", "a", "b")])

    assert fresh == [True, False, True]
    assert ready_ids(broker) == ["a", "b"]


def test_order_is_priority_then_the_order_of_sending(broker: RedisBroker) -> None:
    for priority in (0, 9, 4):
        send(broker, *(f"{priority}{n}" for n in range(3)), priority=priority)

    assert ids_of(fetch(broker)) == ["90", "91", "92", "40", "41", "42", "00", "01", "02"]


def test_nothing_is_sent_for_no_messages(broker: RedisBroker) -> None:
    assert broker.enqueue([]) == []
    assert snapshot(broker) == {}


def test_ids_and_bodies_are_bytes_that_may_hold_anything(broker: RedisBroker) -> None:
    ids = ["naïve id", "line\nbreak", "\0zero", "0", "windlass:{lua}:messages"]
    send(broker, *ids, body=bytes(range(256)))

    fetched = fetch(broker)
    assert ids == ids_of(fetched)
    assert all(d.raw.endswith(bytes(range(256))) for d in fetched.deliveries)


def test_a_full_broker_refuses_and_stores_nothing(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    send(broker, "before")
    with out_of_memory(each_redis_server):
        before = snapshot(broker)
        for messages in (make_messages(1, queue="q"), make_messages(3, queue="q", delay_ms=5)):
            with pytest.raises(BrokerFullError, match="nothing was stored"):
                broker.enqueue(messages)

        assert before == snapshot(broker)
        assert has_bytes(broker, "before")
