from __future__ import annotations

import pytest

from broker_state import (
    FINAL,
    NOW,
    at,
    has_bytes,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    send,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.base import Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import list_dead, purge_dead, replay
from windlass.control_plane.history import attempts_of
from windlass.control_plane.parking import ParkLimits
from windlass.control_plane.queue_record import write_record
from windlass.redis_store.scripts import script

LIMIT_S = 60


@pytest.fixture
def limits(broker: RedisBroker) -> ParkLimits:
    at(broker, NOW)
    write_record(broker, "q", park_limit_s=LIMIT_S)
    return ParkLimits(broker, "w2", lambda _: FINAL)


def park(broker: RedisBroker, *ids: str, task: str = "tests.new") -> None:
    settle(
        broker,
        *(Park(id=d.id, queue="q", token=d.token, task=task) for d in lease(broker, *ids)),
    )


def test_what_is_parked_too_long_is_a_dead_letter_with_its_outcome(
    broker: RedisBroker, limits: ParkLimits
) -> None:
    park(broker, "a")
    at(broker, NOW + LIMIT_S * 1000)

    assert limits.run_once(["q"]) == 1
    (letter,) = list_dead(broker, "q")
    assert (letter.id, letter.reason, letter.worker) == ("a", "parked_too_long", "w2")
    assert "tests.new" in letter.detail
    assert [each.end for each in attempts_of(broker, "a")] == ["buried"]
    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert places(broker, "a") == ["dead"]
    assert purge_dead(broker, "q") == 1
    assert leftovers(broker) == []


def test_what_is_parked_for_a_shorter_time_waits_on(
    broker: RedisBroker, limits: ParkLimits
) -> None:
    park(broker, "old")
    at(broker, NOW + 1000)
    park(broker, "young")
    at(broker, NOW + LIMIT_S * 1000)

    assert limits.run_once(["q"]) == 1
    assert places(broker, "young") == ["parked"]


def test_without_a_limit_nothing_is_buried(broker: RedisBroker, limits: ParkLimits) -> None:
    park(broker, "a")
    write_record(broker, "q", park_limit_s=0)
    at(broker, NOW + 10**9)

    assert limits.run_once(["q", "empty"]) == 0
    assert places(broker, "a") == ["parked"]


def test_twice_buries_once_and_what_was_unparked_meanwhile_is_left_alone(
    broker: RedisBroker, limits: ParkLimits
) -> None:
    park(broker, "a", "b")
    at(broker, NOW + LIMIT_S * 1000)
    q = broker.keys.queue("q")
    seen = read(broker, "HGET", q.parked, "a")
    broker.unpark("q", ["tests.new"])
    before = snapshot(broker)
    keys = (
        broker.keys.attempts, q.parked, q.dead, q.obits, broker.keys.waiting,
        broker.keys.result("a"), broker.keys.messages,
    )  # fmt: skip
    call = script("bury_parked").command(
        keys, (str(NOW), "a", seen, "x", "", "", b"", 0, 0, b"", "", "", 0, b"", "")
    )

    assert broker.links.call([call]) == [0]
    assert limits.run_once(["q"]) == 0
    assert before == snapshot(broker)


def test_a_message_that_was_parked_too_long_is_replayed(
    broker: RedisBroker, limits: ParkLimits
) -> None:
    park(broker, "a")
    at(broker, NOW + LIMIT_S * 1000)
    limits.run_once(["q"])

    assert replay(broker, "q", ["a"]) == 1
    assert places(broker, "a") == ["ready"]


def test_thousands_are_looked_through_a_part_at_a_time(
    broker: RedisBroker, limits: ParkLimits
) -> None:
    ids = [f"m{n}" for n in range(1200)]
    send(broker, *ids)
    q = broker.keys.queue("q")
    read(broker, "DEL", q.ready[0])
    read(broker, "HSET", q.parked, *(word for id_ in ids for word in (id_, f"{NOW}:t")))
    at(broker, NOW + LIMIT_S * 1000)

    assert limits.run_once(["q"]) == 1200
    assert read(broker, "ZCARD", q.dead) == 1200
    assert all(has_bytes(broker, id_) for id_ in ids[:3])


def test_a_full_broker_buries_what_is_parked(
    broker: RedisBroker, limits: ParkLimits, each_redis_server: RedisServer
) -> None:
    park(broker, "a")
    at(broker, NOW + LIMIT_S * 1000)

    with out_of_memory(each_redis_server):
        assert limits.run_once(["q"]) == 1
