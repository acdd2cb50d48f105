from __future__ import annotations

from broker_state import (
    NOW,
    at,
    has_bytes,
    lease,
    leftovers,
    out_of_memory,
    places,
    send,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.base import Bury
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import enforce_retention, list_dead, purge_dead, show_dead
from windlass.control_plane.queue_record import write_record

WEEK_MS = 7 * 86_400_000


def bury(broker: RedisBroker, *ids: str) -> None:
    for d in lease(broker, *ids):
        settle(broker, Bury(id=d.id, queue="q", token=d.token, reason="x", detail="", worker="w"))


def test_named_dead_letters_go_and_nothing_else(broker: RedisBroker) -> None:
    bury(broker, "a", "b")
    send(broker, "ready")

    assert purge_dead(broker, "q", ["a", "a", "ready", "never.was"]) == 1

    assert (has_bytes(broker, "a"), show_dead(broker, "q", "a")) == (False, None)
    assert places(broker, "b") == ["dead"]
    assert places(broker, "ready") == ["ready"]


def test_all_of_a_queue_go_page_by_page(broker: RedisBroker) -> None:
    bury(broker, *(f"m{n}" for n in range(700)))

    assert purge_dead(broker, "q") == 700
    assert leftovers(broker) == []


def test_an_empty_store_and_a_repeat_delete_nothing(broker: RedisBroker) -> None:
    assert purge_dead(broker, "q") == 0
    bury(broker, "a")
    purge_dead(broker, "q", ["a"])
    before = snapshot(broker)

    assert purge_dead(broker, "q", ["a"]) == 0
    assert purge_dead(broker, "q", []) == 0
    assert before == snapshot(broker)


def test_retention_deletes_what_is_older_than_the_record_says(broker: RedisBroker) -> None:
    bury(broker, "old")
    at(broker, NOW + 1)
    bury(broker, "young")

    assert enforce_retention(broker, "q", NOW + WEEK_MS - 1) == 0
    assert enforce_retention(broker, "q", NOW + WEEK_MS) == 1
    assert [letter.id for letter in list_dead(broker, "q")] == ["young"]


def test_a_retention_of_0_keeps_dead_letters_for_ever(broker: RedisBroker) -> None:
    bury(broker, "a")
    write_record(broker, "q", dead_retention_s=0)

    assert enforce_retention(broker, "q", NOW + 100 * WEEK_MS) == 0


def test_a_full_broker_lets_dead_letters_go(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    bury(broker, "a")
    with out_of_memory(each_redis_server):
        assert purge_dead(broker, "q") == 1
