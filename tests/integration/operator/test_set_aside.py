"""What is set aside is read where there is something, and again only when it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from broker_state import lease, read, settle
from redis_server import RedisServer
from windlass.brokers.base import Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.set_aside import SetAside
from windlass.errors import OperationalError
from windlass_operator import brokers as module
from windlass_operator.brokers import Brokers

SPACE = "shop"
WANTED = {SPACE: {"mail": 0, "empty": 0}}


@pytest.fixture
def keyspace(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace=SPACE)
    yield broker
    broker.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The queues of every second read."""
    seen: list[Any] = []
    survey_set_aside = module.survey_set_aside

    def noted(links: Any, wanted: Any) -> Any:
        seen.append(list(wanted))
        return survey_set_aside(links, wanted)

    monkeypatch.setattr(module, "survey_set_aside", noted)
    return seen


def park(broker: RedisBroker, *ids: str, task: str) -> None:
    for one in lease(broker, *ids, queue="mail"):
        settle(broker, Park(id=one.id, queue="mail", token=one.token, task=task))


async def test_it_is_read_when_it_changed_and_forgotten_when_it_is_gone(
    redis_server: RedisServer, keyspace: RedisBroker, operators: Brokers, reads: list[Any]
) -> None:
    async def known() -> SetAside | None:
        await operators.survey({redis_server.url: WANTED})
        return operators.readings[redis_server.url].set_aside(SPACE, "mail")

    assert await known() is None
    await asyncio.to_thread(park, keyspace, "a", task="shop.new")
    assert await known() == SetAside(parked=1, tasks={"shop.new": 1})
    assert (await known(), len(reads)) == (SetAside(parked=1, tasks={"shop.new": 1}), 1)
    await asyncio.to_thread(park, keyspace, "b", task="shop.newer")
    assert await known() == SetAside(parked=2, tasks={"shop.new": 1, "shop.newer": 1})
    await asyncio.to_thread(keyspace.unpark, "mail", ["shop.new", "shop.newer"])
    assert await known() is None
    assert reads == [[(SPACE, "mail")], [(SPACE, "mail")]]


async def test_the_same_counts_are_read_again_after_a_while(
    redis_server: RedisServer, keyspace: RedisBroker, operators: Brokers, reads: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await asyncio.to_thread(park, keyspace, "a", task="shop.new")
    await operators.survey({redis_server.url: WANTED})
    parked = keyspace.keys.queue("mail").parked
    await asyncio.to_thread(read, keyspace, "HSET", parked, "a", "1:shop.other")
    monkeypatch.setattr(module, "_ASIDE_S", 0.0)
    await operators.survey({redis_server.url: WANTED})

    found = operators.readings[redis_server.url].set_aside(SPACE, "mail")
    assert found == SetAside(parked=1, tasks={"shop.other": 1})
    assert len(reads) == 2


async def test_that_it_cannot_be_read_keeps_nobody_from_knowing_the_depths(
    redis_server: RedisServer, keyspace: RedisBroker, operators: Brokers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refused(*_: Any) -> Any:
        raise OperationalError("no")

    monkeypatch.setattr(module, "survey_set_aside", refused)
    await asyncio.to_thread(park, keyspace, "a", task="shop.new")
    await operators.survey({redis_server.url: WANTED})

    reading = operators.readings[redis_server.url]
    assert (reading.error, reading.failures) == (None, 0)
    assert reading.views[SPACE].depths["mail"].parked == 1
    assert reading.set_aside(SPACE, "mail") is None
