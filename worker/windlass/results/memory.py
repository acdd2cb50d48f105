"""Results in the memory of one process: for tests and for code that runs tasks eagerly."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from windlass.results import codec
from windlass.results.base import CLOSED, not_closed

#: Told the id and the outcome, once.
_Listener = Callable[[str, bytes], object]


class MemoryResults:
    """A `ResultBackend` that other processes do not see; gone with the process.

    Args:
        clock: Seconds, for the time to live.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._stored: dict[str, tuple[bytes, float]] = {}
        self._listeners: dict[str, list[_Listener]] = {}

    def get_raw(self, task_id: str) -> bytes | None:
        """See `ResultBackend.get_raw`."""
        with self._lock:
            return self._get(task_id)

    def has_ended(self, task_id: str) -> bool:
        """Whether an outcome is kept that ended the task (`windlass.results.codec`)."""
        return (self.get_raw(task_id) or b"--")[1:2] == b"F"

    def get_many_raw(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """See `ResultBackend.get_many_raw`."""
        with self._lock:
            return [self._get(task_id) for task_id in task_ids]

    def wait_raw(
        self, task_ids: Sequence[str], timeout_s: float | None
    ) -> tuple[str, bytes] | None:
        """See `ResultBackend.wait_raw`."""
        arrived: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()

        def listener(task_id: str, payload: bytes) -> None:
            arrived.put((task_id, payload))

        self._listen(task_ids, listener)
        try:
            if timeout_s is not None and timeout_s <= 0:
                return arrived.get_nowait()
            task_id, payload = arrived.get(timeout=timeout_s)
            return task_id, not_closed(payload)
        except queue.Empty:
            return None
        finally:
            self._stop_listening(task_ids, listener)

    def store_raw(self, task_id: str, payload: bytes, ttl_ms: int) -> None:
        """See `ResultBackend.store_raw`."""
        expires = self._clock() + ttl_ms / 1000 if ttl_ms else float("inf")
        with self._lock:
            self._stored[task_id] = (payload, expires)
            final = codec.is_final(payload)
            listeners = list(self._listeners.get(task_id, ())) if final else []
        for listener in listeners:
            listener(task_id, payload)

    def forget(self, task_ids: Sequence[str]) -> None:
        """See `ResultBackend.forget`."""
        with self._lock:
            for task_id in task_ids:
                self._stored.pop(task_id, None)

    async def aget_raw(self, task_id: str) -> bytes | None:
        """See `ResultBackend.aget_raw`."""
        return self.get_raw(task_id)

    async def await_raw(self, task_id: str, timeout_s: float | None) -> bytes | None:
        """See `ResultBackend.await_raw`."""
        import asyncio  # noqa: PLC0415 - 5 MB that a worker of plain tasks has no use for

        stored = self.get_raw(task_id)
        if stored is not None and codec.is_final(stored):
            return stored
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes] = asyncio.Queue()

        def listener(_: str, payload: bytes) -> None:
            loop.call_soon_threadsafe(arrived.put_nowait, payload)

        self._listen([task_id], listener)
        try:
            async with asyncio.timeout(timeout_s):
                return not_closed(await arrived.get())
        except TimeoutError:
            return None
        finally:
            self._stop_listening([task_id], listener)

    async def aclose(self) -> None:
        """See `ResultBackend.aclose`."""

    def close(self) -> None:
        """Drop everything, and end the waits."""
        with self._lock:
            self._stored.clear()
            waiting = [(i, each) for i, listeners in self._listeners.items() for each in listeners]
            self._listeners.clear()
        for task_id, listener in waiting:
            listener(task_id, CLOSED)

    def _get(self, task_id: str) -> bytes | None:
        payload, expires = self._stored.get(task_id, (None, 0.0))
        if payload is not None and expires <= self._clock():
            del self._stored[task_id]
            return None
        return payload

    def _listen(self, task_ids: Sequence[str], listener: _Listener) -> None:
        """Register, and tell at once of what is there: no outcome falls between the two."""
        with self._lock:
            for task_id in task_ids:
                self._listeners.setdefault(task_id, []).append(listener)
            there = [(task_id, self._get(task_id)) for task_id in task_ids]
        for task_id, payload in there:
            if payload is not None and codec.is_final(payload):
                listener(task_id, payload)

    def _stop_listening(self, task_ids: Sequence[str], listener: _Listener) -> None:
        with self._lock:
            for task_id in task_ids:
                listeners = self._listeners.get(task_id, [])
                if listener in listeners:
                    listeners.remove(listener)
                if not listeners:
                    self._listeners.pop(task_id, None)
