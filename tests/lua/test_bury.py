from __future__ import annotations

import msgspec
import pytest

from broker_state import (
    FINAL,
    NOW,
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
from windlass.brokers.base import Bury, Delivery
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import DeadLetter, list_dead, purge_dead, show_dead


def bury(delivery: Delivery, **changes: object) -> Bury:
    letter = Bury(
        id=delivery.id, queue=delivery.queue, token=delivery.token, reason="undecodable",
        detail="not JSON", worker="w1", result=FINAL,
    )  # fmt: skip
    return msgspec.structs.replace(letter, **changes)


def test_the_dead_letter_keeps_the_message_untouched_beside_its_reason(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a", task="tests.bad")

    assert settle(broker, bury(delivery)) == []

    assert places(broker, "a") == ["dead"]
    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert show_dead(broker, "q", "a") == DeadLetter(
        id="a", queue="q", reason="undecodable", detail="not JSON", at_ms=NOW, raw=delivery.raw,
        task="tests.bad", worker="w1",
    )  # fmt: skip


def test_a_stale_token_or_a_repeat_does_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, bury(delivery))
    before = snapshot(broker)

    assert settle(broker, bury(delivery, reason="rejected")) == ["a"]
    assert before == snapshot(broker)


@pytest.mark.parametrize(
    "detail", ['quo"te', "new\nline", "\0", "\udc80 lone surrogate", "é 🎉", "x" * 1_000_000]
)
def test_a_detail_may_be_any_text_and_is_cut_when_it_is_huge(
    broker: RedisBroker, detail: str
) -> None:
    settle(broker, bury(lease(broker, "a")[0], detail=detail, worker=detail))

    (letter,) = list_dead(broker, "q")
    assert detail[:1].encode("utf-8", "replace").decode() == letter.detail[:1]
    assert len(letter.detail) <= 4_000


def test_the_grant_is_closed_and_a_purge_leaves_nothing(broker: RedisBroker) -> None:
    settle(broker, *map(bury, lease(broker, "a", "b")))

    assert purge_dead(broker, "q") == 2
    assert leftovers(broker) == []
    assert not has_bytes(broker, "a")


def test_a_full_broker_buries(broker: RedisBroker, each_redis_server: RedisServer) -> None:
    (delivery,) = lease(broker, "a")
    with out_of_memory(each_redis_server):
        assert settle(broker, bury(delivery)) == []

    assert fetch(broker).deliveries == []
    assert places(broker, "a") == ["dead"]
