"""The operator looks after what is set aside: where a pool is at zero nobody else does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from broker_state import lease, read, settle
from operator_builders import make_queue
from redis_server import RedisServer
from windlass.brokers.base import Bury, Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import list_dead
from windlass.control_plane.queue_record import write_record
from windlass_operator import upkeep as module
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers
from windlass_operator.observe import World
from windlass_operator.upkeep import Upkeep

SPACE, HOUR_MS = "shop", 3_600_000


@pytest.fixture
def keyspace(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace=SPACE)
    broker.commands.now = str(round(time.time() * 1000) - HOUR_MS)
    yield broker
    broker.close()


def world_of(url: str) -> World:
    key = (SPACE, "mail")
    return World(
        queues={key: make_queue("mail", SPACE)}, addresses={key: Address(operator_url=url)}
    )


async def look(operators: Brokers, upkeep: Upkeep, url: str) -> None:
    await operators.survey({url: {SPACE: {"mail": 0}}})
    upkeep.look(world_of(url))
    await upkeep.finish()


async def test_a_message_that_was_parked_for_too_long_is_buried_without_a_worker(
    keyspace: RedisBroker, redis_server: RedisServer, operators: Brokers
) -> None:
    (held,) = lease(keyspace, "old", queue="mail")
    settle(keyspace, Park(id="old", queue="mail", token=held.token, task="shop.new"))
    write_record(keyspace, "mail", park_limit_s=1800)

    await look(operators, Upkeep(operators), redis_server.url)

    (letter,) = list_dead(keyspace, "mail")
    assert (letter.id, letter.reason, letter.worker) == ("old", "parked_too_long", module.WHO)
    assert b"FAILURE" in read(keyspace, "GET", keyspace.keys.result("old"))


async def test_dead_letters_go_after_their_retention_and_a_look_comes_once_in_a_while(
    keyspace: RedisBroker,
    redis_server: RedisServer,
    operators: Brokers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upkeep = Upkeep(operators)
    (held,) = lease(keyspace, "bad", queue="mail")
    settle(
        keyspace,
        Bury(id="bad", queue="mail", token=held.token, reason="rejected", detail="", worker="w"),
    )
    await look(operators, upkeep, redis_server.url)
    assert [letter.id for letter in list_dead(keyspace, "mail")] == ["bad"]

    write_record(keyspace, "mail", dead_retention_s=1800)
    await look(operators, upkeep, redis_server.url)
    assert list_dead(keyspace, "mail"), "it was looked at a moment ago"

    monkeypatch.setattr(upkeep, "_next_s", 0.0)
    await look(operators, upkeep, redis_server.url)
    assert list_dead(keyspace, "mail") == []


async def test_a_broker_that_is_away_is_no_news(
    keyspace: RedisBroker,
    redis_server: RedisServer,
    operators: Brokers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Mock()
    monkeypatch.setattr(module, "log", log)
    (held,) = lease(keyspace, "old", queue="mail")
    settle(keyspace, Park(id="old", queue="mail", token=held.token, task="shop.new"))
    upkeep, url = Upkeep(operators), redis_server.url
    await operators.survey({url: {SPACE: {"mail": 0}}})
    redis_server.kill()

    upkeep.look(world_of(url))
    await upkeep.finish()

    assert log.warning.call_args.args == ("upkeep_failed",)
    assert not log.exception.called
