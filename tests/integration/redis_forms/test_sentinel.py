"""A primary, a replica and three Sentinels: what happens when the primary dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from redis_groups import SentinelGroup
from waiting import eventually
from windlass.brokers.redis import RedisBroker
from windlass.errors import OperationalError

SOON = 60  # seconds: bounds a failing test, never slows a passing one


@pytest.fixture
def group() -> Iterator[SentinelGroup]:
    with SentinelGroup(sentinel_password="s3ntinel") as started:
        yield started


def test_clients_and_workers_go_on_after_the_primary_is_killed(
    group: SentinelGroup, open_shop: Callable[..., Any]
) -> None:
    shop = open_shop(
        broker_url=group.url, broker_transport_options=group.options, result_backend="redis://"
    )
    shop.start_worker()
    before = shop.send(20)
    assert [r.get(timeout=SOON) for r in before] == [2 * n for n in range(20)]
    held = shop.hold("over-the-failover")
    waiter: list[Any] = []
    waiting = threading.Thread(target=lambda: waiter.append(held.get(timeout=SOON)))
    waiting.start()
    group.primary.client().execute_command("WAIT", 1, 5000)

    group.primary.kill()
    during = shop.send(20, first=100)  # its calls are tried until there is a primary again
    shop.go("over-the-failover")

    assert [r.get(timeout=SOON) for r in during] == [2 * n for n in range(100, 120)]
    waiting.join(SOON)
    assert waiter == ["over-the-failover"]
    assert group.replica.client().info("replication")["role"] == "master"
    assert "broker_reconnected" in shop.log()


async def test_async_calls_find_the_new_primary(
    group: SentinelGroup, open_shop: Callable[..., Any]
) -> None:
    shop = open_shop(
        broker_url=group.url, broker_transport_options=group.options, result_backend="redis://"
    )
    app = shop.app

    @app.task(name="forms_tasks.add")
    def add(x: int, y: int) -> int: ...

    shop.start_worker()
    first = await add.adelay(1, 1)
    assert await asyncio.wait_for(first.aget(timeout=SOON), SOON) == 2
    group.primary.client().execute_command("WAIT", 1, 5000)

    group.primary.kill()
    second = await add.adelay(2, 2)

    assert await asyncio.wait_for(second.aget(timeout=SOON), SOON) == 4
    await app.aclose()


def test_a_primary_that_hangs_is_left_for_the_new_one(group: SentinelGroup) -> None:
    broker = RedisBroker(group.url, options={**group.options, "socket_timeout": 0.5})
    broker.ping()

    group.primary.pause()
    group.wait_for_failover()

    eventually(lambda: _answers(broker), SOON)
    assert broker.check().role == "master"
    broker.close()


def test_sentinels_that_refuse_or_know_nothing_are_named_with_what_they_said(
    group: SentinelGroup,
) -> None:
    """And one that is gone is passed over."""
    no_password = RedisBroker(group.url, options={"master_name": group.NAME})
    other_name = RedisBroker(group.url, options={**group.options, "master_name": "other"})

    with pytest.raises(OperationalError, match=r"No Sentinel could name.*NOAUTH.*master_name"):
        no_password.ping()
    with pytest.raises(OperationalError, match=r"it knows no primary 'other'"):
        other_name.ping()

    group.sentinels[0].kill()
    broker = RedisBroker(group.url, options=group.options)
    broker.ping()
    broker.close()


def _answers(broker: RedisBroker) -> bool:
    try:
        broker.ping()
    except OperationalError:
        return False
    return True
