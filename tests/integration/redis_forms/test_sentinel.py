"""A primary, a replica and three Sentinels: what happens when the primary dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from builders import make_message
from redis_groups import SentinelGroup
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import Fetched, FetchRequest
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.errors import OperationalError
from windlass.redis_store import subscriber
from windlass.results import codec
from windlass.results.codec import About
from windlass.results.redis import RedisResults

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


async def test_a_confirmed_call_is_on_the_replica_and_without_one_it_is_an_error(
    group: SentinelGroup,
) -> None:
    retry = PublishRetry(max_retries=1)
    broker = RedisBroker(group.url, options=group.options, confirm_ms=5_000, retry=retry)
    hasty = RedisBroker(group.url, options=group.options, confirm_ms=100, retry=retry)
    replica = group.replica.client()

    assert broker.enqueue([make_message(id="one")]) == [True]
    assert broker.enqueue([make_message(id="two"), make_message(id="three")]) == [True, True]
    assert await broker.aenqueue([make_message(id="four")]) == [True]
    assert replica.hlen(broker.keys.messages) == 4

    group.replica.pause()
    with pytest.raises(OperationalError, match="no replica had it within 100 ms"):
        hasty.enqueue([make_message(id="five")])  # nor at the second try, which stores nothing
    group.replica.resume()
    assert broker.enqueue([make_message(id="five")]) == [False]
    assert replica.hlen(broker.keys.messages) == 5
    await broker.aclose()
    broker.close()
    hasty.close()


def test_a_primary_that_hangs_is_left_for_the_new_one(
    group: SentinelGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By calls, by who waits for work, and by who waits for a result."""
    monkeypatch.setattr(subscriber, "_QUIET_S", 0.2)
    broker = RedisBroker(group.url, options={**group.options, "socket_timeout": 0.5})
    results = RedisResults(broker.links, broker.async_links, broker.keys)
    request = FetchRequest(worker_id="w", queues=("q",), want=1, lease_ms=60_000, wait_ms=5_000)
    assert not broker.wait(request, 0.1).deliveries
    with ThreadPoolExecutor(2) as threads:
        outcome = threads.submit(results.wait_raw, ["id"], SOON)
        eventually(lambda: group.primary.client().pubsub_channels(), SOON)
        work = threads.submit(_wait_for_work, broker, request)
        eventually(lambda: _has_blocked_client(group.primary), SOON)

        group.primary.pause()
        group.wait_for_failover()

        eventually(lambda: _answers(broker), SOON)
        assert broker.check().role == "master"
        sender = RedisBroker(group.url, options=group.options)
        sender.enqueue([make_message(id="there", queue="q")])
        final = codec.encode_success("id", 1, About())
        eventually(lambda: group.replica.client().pubsub_channels(), SOON)
        RedisResults(sender.links, sender.async_links, sender.keys).store_raw("id", final, 0)
        assert [d.id for d in work.result(SOON).deliveries] == ["there"]
        assert outcome.result(SOON) == ("id", final)
    results.close()
    broker.close()
    sender.close()


def _wait_for_work(broker: RedisBroker, request: FetchRequest) -> Fetched:
    while True:
        try:
            fetched = broker.wait(request, 5.0)
        except OperationalError:
            continue
        if fetched is not None and fetched.deliveries:
            return fetched


def _has_blocked_client(server: RedisServer) -> bool:
    return bool(server.client().info("clients")["blocked_clients"])


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
