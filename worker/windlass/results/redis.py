"""Results on the broker's own Redis: written by the commit, read and waited for here.

Next in the walk: `windlass.redis_store.subscriber`, which waits for all threads of a process.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from windlass.errors import BrokerAccessError, OperationalError
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import outcome_script, script
from windlass.redis_store.subscriber import Listener, Subscriber
from windlass.results.base import not_closed
from windlass.results.codec import is_final

#: A wait without an end is registered for so long at a time, milliseconds, and anew before that.
_FOREVER_MS = 24 * 3600 * 1000
_LOOK_S = _FOREVER_MS / 1000 / 2
_RETRY_S = 0.2
#: No call of a wait is given less, seconds.
_SHORTEST_S = 0.1

if TYPE_CHECKING:
    import asyncio

Arrival = tuple[str, bytes | None]


class RedisResults:
    """Implements `windlass.results.base.ResultBackend`.

    Args:
        links: The broker's connections, shared.
        async_links: Their async twin.
        keys: The keyspace's key table.
    """

    def __init__(self, links: Links, async_links: AsyncLinks, keys: Keys) -> None:
        self._links = links
        self._async_links = async_links
        self._keys = keys
        self._subscriber: Subscriber | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def get_raw(self, task_id: str) -> bytes | None:
        """Return the stored outcome, or None."""
        return self.get_many_raw([task_id])[0]

    def get_many_raw(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Return the stored outcomes in one round trip, in the order of the ids."""
        if not task_ids:
            return []
        keys = [self._keys.result(id_) for id_ in task_ids]
        return list(self._links.call([packed("MGET", *keys)])[0])

    async def aget_raw(self, task_id: str) -> bytes | None:
        """Async twin of `get_raw`."""
        value = (await self._async_links.call([packed("GET", self._keys.result(task_id))]))[0]
        return None if value is None else bytes(value)

    def store_raw(self, task_id: str, payload: bytes, ttl_ms: int) -> None:
        """Store an outcome, not fenced, and wake who waits for it."""
        keys = (self._keys.waiting, self._keys.result(task_id))
        args = (task_id, ttl_ms, payload, int(is_final(payload)), self._keys.done_prefix)
        self._links.call([outcome_script("store_result", self._keys).command(keys, args)])

    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove stored outcomes."""
        if task_ids:
            self._links.call([packed("UNLINK", *(self._keys.result(id_) for id_ in task_ids))])

    def wait_raw(
        self, task_ids: Sequence[str], timeout_s: float | None
    ) -> tuple[str, bytes] | None:
        """Return the first final outcome among ids, waiting for it by push."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        found = self._look(task_ids, timeout_s)
        if found or timeout_s == 0:
            return found
        arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        subscriber = self._subscribed()
        listeners = self._listen(subscriber, task_ids, lambda id_, raw: arrivals.put((id_, raw)))
        try:
            return self._wait(task_ids, arrivals, deadline)
        finally:
            subscriber.unsubscribe(listeners)

    def _look(self, task_ids: Sequence[str], timeout_s: float | None) -> tuple[str, bytes] | None:
        keys = [self._keys.result(id_) for id_ in task_ids]
        try:
            stored = self._links.call([packed("MGET", *keys)], _patience(timeout_s))[0]
        except BrokerAccessError:
            raise  # waiting would not help
        except OperationalError:
            return None  # the wait reconnects, and looks again when its subscription stands
        return first_final(task_ids, stored)

    def _wait(
        self,
        task_ids: Sequence[str],
        arrivals: queue.SimpleQueue[Arrival],
        deadline: float | None,
    ) -> tuple[str, bytes] | None:
        while True:
            left_s = None if deadline is None else deadline - time.monotonic()
            if left_s is not None and left_s <= 0:
                return None
            batch = _drain(arrivals, _LOOK_S if left_s is None else left_s)
            if not batch and left_s is None:
                batch = [(id_, None) for id_ in task_ids]  # to be registered anew
            for id_, raw in batch:
                if raw is not None and is_final(not_closed(raw)):
                    return id_, raw
            live = [id_ for id_, raw in batch if raw is None]
            if live and (found := self._register(live, left_s, arrivals)):
                return found

    def _register(
        self, live: Sequence[str], left_s: float | None, arrivals: queue.SimpleQueue[Arrival]
    ) -> tuple[str, bytes] | None:
        """Say that these ids are waited for, now that their channels stand; look at them."""
        try:
            call = self._await(live, left_s)
            return first_final(live, self._links.call([call], _patience(left_s))[0])
        except BrokerAccessError:
            raise
        except OperationalError:
            time.sleep(_RETRY_S)
            for id_ in live:
                arrivals.put((id_, None))
            return None

    def _await(self, task_ids: Sequence[str], left_s: float | None) -> bytes:
        keys = (self._keys.waiting, *(self._keys.result(id_) for id_ in task_ids))
        wait_ms = _FOREVER_MS if left_s is None else int(left_s * 1000) + 1000
        return script("await_result").command(keys, ("", wait_ms, *task_ids))

    def _listen(
        self,
        subscriber: Subscriber,
        task_ids: Sequence[str],
        tell: Callable[[str, bytes | None], None],
    ) -> list[tuple[bytes, Listener]]:
        by_channel = {self._keys.done(id_): partial(tell, id_) for id_ in task_ids}
        subscriber.subscribe(by_channel, by_channel.__getitem__)
        return list(by_channel.items())

    async def await_raw(self, task_id: str, timeout_s: float | None) -> bytes | None:
        """Async twin of `wait_raw` for one id."""
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        loop = asyncio.get_running_loop()
        arrivals: asyncio.Queue[bytes | None] = asyncio.Queue()

        def tell(_id: str, raw: bytes | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(arrivals.put_nowait, raw)

        if timeout_s == 0:
            raw = await self.aget_raw(task_id)
            return raw if raw is not None and is_final(raw) else None
        subscriber = self._subscribed()
        listeners = self._listen(subscriber, [task_id], tell)
        try:
            async with asyncio.timeout(timeout_s):
                return await self._first_arrival(task_id, arrivals, timeout_s)
        except TimeoutError:
            return None
        finally:
            subscriber.unsubscribe(listeners)

    async def _first_arrival(
        self, task_id: str, arrivals: asyncio.Queue[bytes | None], timeout_s: float | None
    ) -> bytes:
        while True:
            raw = await _next_arrival(arrivals)
            if raw is None:
                raw = await self._aregister(task_id, timeout_s, arrivals)
            if raw is not None and is_final(not_closed(raw)):
                return bytes(raw)

    async def _aregister(
        self, task_id: str, timeout_s: float | None, arrivals: asyncio.Queue[bytes | None]
    ) -> bytes | None:
        """Say that this id is waited for, now that its channel stands; look at it."""
        import asyncio  # noqa: PLC0415 - see await_raw

        try:
            raw = (await self._async_links.call([self._await([task_id], timeout_s)]))[0][0]
        except BrokerAccessError:
            raise
        except OperationalError:
            await asyncio.sleep(_RETRY_S)
            arrivals.put_nowait(None)
            return None
        return None if raw is None else bytes(raw)

    def _subscribed(self) -> Subscriber:
        if self._pid != os.getpid():
            # After a fork the thread is gone, and so is whoever held the lock: the child waits on
            # a connection of its own.
            self._subscriber, self._pid, self._lock = None, os.getpid(), threading.Lock()
        with self._lock:
            if self._subscriber is None:
                self._subscriber = Subscriber(self._links)
            return self._subscriber

    async def aclose(self) -> None:
        """Close what belongs to the running event loop: nothing, the broker closes its own."""

    def close(self) -> None:
        """End the waits, and their thread; the connections are the broker's to close."""
        if self._subscriber is not None and self._pid == os.getpid():
            self._subscriber.close()
        self._subscriber = None


def _patience(left_s: float | None) -> float | None:
    """How long a call may hang within a wait: no longer than the wait, but long enough to work."""
    return None if left_s is None else max(left_s, _SHORTEST_S)


def _drain(arrivals: queue.SimpleQueue[Arrival], timeout_s: float | None) -> list[Arrival]:
    """Wait for one arrival and take all that are there; empty after the time-out."""
    batch = []
    try:
        batch.append(arrivals.get(timeout=timeout_s))
        while True:
            batch.append(arrivals.get_nowait())
    except queue.Empty:
        return batch


async def _next_arrival(arrivals: asyncio.Queue[bytes | None]) -> bytes | None:
    import asyncio  # noqa: PLC0415 - see await_raw

    try:
        async with asyncio.timeout(_LOOK_S):
            return await arrivals.get()
    except TimeoutError:
        return None  # to be registered anew


def first_final(
    task_ids: Sequence[str], stored: Sequence[bytes | None]
) -> tuple[str, bytes] | None:
    """Return the first of these outcomes that ends a wait."""
    for id_, raw in zip(task_ids, stored, strict=True):
        if raw is not None and is_final(raw):
            return id_, bytes(raw)
    return None
