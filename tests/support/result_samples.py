"""The result backends that the conformance suite runs on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.results.base import ResultBackend
from windlass.results.memory import MemoryResults
from windlass.results.outbox import OutboxResults


class Sample(Protocol):
    """One implementation: the backend, and how many ids are waited for in it."""

    backend: ResultBackend

    def waited_for(self) -> int: ...

    async def close_loop(self) -> None:
        """Close what belongs to the running event loop."""


class MemorySample:
    def __init__(self) -> None:
        self.backend = MemoryResults()

    def waited_for(self) -> int:
        return len(self.backend._listeners)

    async def close_loop(self) -> None:
        pass


class RedisSample:
    def __init__(self, url: str, client: Any) -> None:
        self.app = Windlass("conformance", broker=url, backend="redis://", set_as_current=False)
        backend = self.app.backend
        assert backend is not None
        self.backend: ResultBackend = backend
        self._client = client

    def waited_for(self) -> int:
        """Channels on which the process listens: registered right after."""
        return len(self._client.pubsub_channels())

    async def close_loop(self) -> None:
        await self.app.broker.async_links.close()


def in_memory(_: Any) -> Iterator[Sample]:
    yield MemorySample()


def on_redis(request: Any) -> Iterator[Sample]:
    url = request.getfixturevalue("redis_unix_url")
    sample = RedisSample(url, request.getfixturevalue("redis_client"))
    yield sample
    sample.app.close()


class OutboxSample(RedisSample):
    """Results in another Redis than the broker's.

    Args:
        broker: Its address.
        client: A client of the broker.
        store: Where results are kept.
        is_copied: Every outcome is copied before anybody can look.
    """

    def __init__(self, broker: str, client: Any, store: str, *, is_copied: bool) -> None:
        self.app = Windlass("conformance", broker=broker, backend=store, set_as_current=False)
        backend = self.app.backend
        assert isinstance(backend, OutboxResults)
        self.outbox = backend
        self.backend: ResultBackend = backend
        self._client = client
        if is_copied:
            store_raw, copier = self.outbox.store_raw, self.outbox.copier()

            def store_and_copy(task_id: str, payload: bytes, ttl_ms: int) -> None:
                store_raw(task_id, payload, ttl_ms)
                eventually(lambda: copier.run_once() == 0)

            self.outbox.store_raw = store_and_copy  # type: ignore[method-assign]

    async def close_loop(self) -> None:
        await super().close_loop()
        await self.outbox.aclose()


def through_outbox(request: Any, *, is_copied: bool) -> Iterator[Sample]:
    store: RedisServer = request.getfixturevalue("result_store")
    store.flush()
    url, client = (request.getfixturevalue(f"redis_{name}") for name in ("unix_url", "client"))
    sample = OutboxSample(url, client, store.unix_url, is_copied=is_copied)
    yield sample
    sample.app.close()
