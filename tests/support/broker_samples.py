"""The brokers that the conformance suite runs on, and moves as short lines.

Each sample has its clock in the test's hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from broker_state import FINAL, LEASE_MS, NOW
from windlass.brokers.base import (
    Bury,
    Crashed,
    Delivery,
    FetchRequest,
    HandBack,
    QueueDepth,
)
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.memory_store import MemoryStore
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.results.base import ResultBackend
from windlass.results.memory import MemoryResults
from windlass.results.redis import RedisResults

SOON = 20  # seconds: bounds a failing test, never slows a passing one
REQUEST = FetchRequest(worker_id="w1", queues=("q",), want=10, lease_ms=LEASE_MS, wait_ms=5_000)


#: Kept for ever: on Redis the time of outcomes is the server's own, not the test's.
LOST = msgspec.structs.replace(FINAL, ttl_ms=0)


class Sample:
    """One implementation: a broker, a second one on the same store, the results, the clock."""

    broker: Any
    other: Any
    results: ResultBackend

    def at(self, now_ms: int) -> None:
        """Set the broker's clock."""


class MemorySample(Sample):
    def __init__(self) -> None:
        self._now = NOW
        store = MemoryStore(lambda: self._now)
        self.broker = MemoryBroker(store, lost_result=lambda _: LOST)
        self.other = MemoryBroker(store)
        self.results: MemoryResults = store.results

    def at(self, now_ms: int) -> None:
        self._now = now_ms


class RedisSample(Sample):
    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.broker = RedisBroker(
            url, keyspace="conformance", options=options, lost_result=lambda _: LOST
        )
        self.other = RedisBroker(url, keyspace="conformance", options=options)
        broker = self.broker
        self.results = RedisResults(broker.links, broker.async_links, broker.keys)
        self.at(NOW)

    def at(self, now_ms: int) -> None:
        self.broker.commands.now = self.other.commands.now = str(now_ms)


def depth(broker: Any, queue: str = "q") -> QueueDepth:
    return read_depths(broker, [queue])[0]


def hand_back(delivery: Delivery, **options: Any) -> HandBack:
    return HandBack(id=delivery.id, queue=delivery.queue, token=delivery.token, **options)


def crashed(delivery: Delivery, **options: Any) -> Crashed:
    return Crashed(
        id=delivery.id, queue=delivery.queue, token=delivery.token, reason="signal 9 (SIGKILL)",
        worker="w1", **options,
    )  # fmt: skip


def bury(delivery: Delivery, **options: Any) -> Bury:
    return Bury(
        id=delivery.id, queue=delivery.queue, token=delivery.token, reason="undecodable",
        detail="no JSON", worker="w1", **options,
    )  # fmt: skip
