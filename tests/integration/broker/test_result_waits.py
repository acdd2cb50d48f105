"""Waits for outcomes in the corners: without end, with a failing listener, begun at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from broker_state import FINAL, read
from waiting import eventually
from windlass.brokers.redis import RedisBroker
from windlass.results import redis as results_module
from windlass.results.redis import RedisResults


@pytest.fixture
def results(broker: RedisBroker) -> Iterator[RedisResults]:
    results = RedisResults(broker.links, broker.async_links, broker.keys)
    yield results
    results.close()


def test_a_wait_without_end_registers_itself_anew(
    broker: RedisBroker, results: RedisResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results_module, "_LOOK_S", 0.02)
    got: list[tuple[str, bytes] | None] = []
    waiter = threading.Thread(target=lambda: got.append(results.wait_raw(["a"], None)))
    waiter.start()
    for _ in range(2):  # as if its registration had run out
        eventually(lambda: read(broker, "ZREM", broker.keys.waiting, "a"))
    eventually(lambda: read(broker, "ZSCORE", broker.keys.waiting, "a"))
    results.store_raw("a", FINAL.payload, 0)
    waiter.join(timeout=20)

    assert got == [("a", FINAL.payload)]


async def test_an_await_without_end_does_too(
    broker: RedisBroker, results: RedisResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    from waiting import aeventually

    monkeypatch.setattr(results_module, "_LOOK_S", 0.02)
    task = asyncio.create_task(results.await_raw("a", None))
    for _ in range(2):
        await aeventually(lambda: read(broker, "ZREM", broker.keys.waiting, "a"))
    await aeventually(lambda: read(broker, "ZSCORE", broker.keys.waiting, "a"))
    results.store_raw("a", FINAL.payload, 0)

    assert await task == FINAL.payload
    await broker.async_links.close()


def test_a_listener_that_fails_does_not_end_the_waits_of_the_others(
    results: RedisResults, broker: RedisBroker, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_payload: bytes | None) -> None:
        raise RuntimeError("its event loop is closed")

    channel = broker.keys.done("a")
    results._subscribed().subscribe([channel], lambda _channel: fail)
    with caplog.at_level(logging.ERROR):
        eventually(lambda: "result_listener_failed" in caplog.text)

    got: list[tuple[str, bytes] | None] = []
    waiter = threading.Thread(target=lambda: got.append(results.wait_raw(["a"], 20)))
    waiter.start()
    eventually(lambda: read(broker, "ZSCORE", broker.keys.waiting, "a"))
    results.store_raw("a", FINAL.payload, 0)
    waiter.join(timeout=20)
    assert got == [("a", FINAL.payload)]


def test_threads_that_wait_for_the_first_time_at_once_share_one_thread(
    results: RedisResults,
) -> None:
    start = threading.Barrier(8)
    seen: list[object] = []

    def ask() -> None:
        start.wait()
        seen.append(results._subscribed())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert len(seen) == 8
    assert len(set(map(id, seen))) == 1
