"""The asyncio loop: one slot process, one event loop, N tasks at a time.

`async def` tasks are awaited on the loop; plain functions run in its thread executor. Permits are
read only while there is room, so what is not begun stays in the pipe and can be recalled.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

from windlass.pools.base import LANE_FAILED
from windlass.results import guard
from windlass.runtime import wire
from windlass.runtime.outcome import Returned

if TYPE_CHECKING:
    from windlass.runtime.executor import Executor
    from windlass.runtime.outcome import Outcome
    from windlass.runtime.slot_main import Begun, Channel


def run(channel: Channel, executor: Executor, lanes: int) -> None:
    """Run messages on an event loop until the channel closes; then wait for what has begun."""
    guard.allow_awaiting()  # a task that awaits a result holds up no other on this loop
    asyncio.run(_Lanes(channel, executor, lanes).serve())


class _Lanes:
    def __init__(self, channel: Channel, executor: Executor, lanes: int) -> None:
        self._channel = channel
        self._executor = executor
        self._lanes = lanes
        self._running: dict[int, asyncio.Task[None]] = {}
        self._is_reading_permits = False
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(self._lanes, thread_name_prefix="lane"))
        loop.add_reader(self._channel.sock, self._on_frames)
        self._read_permits()
        await self._ended.wait()
        loop.remove_reader(self._channel.sock)
        self._pause_permits()
        if self._running:
            await asyncio.wait(list(self._running.values()))

    def _read_permits(self) -> None:
        if not self._is_reading_permits and not self._channel.is_closed:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._channel.permit_fd, self._on_permits)
            self._is_reading_permits = True

    def _pause_permits(self) -> None:
        if self._is_reading_permits:
            asyncio.get_running_loop().remove_reader(self._channel.permit_fd)
            self._is_reading_permits = False

    def _on_frames(self) -> None:
        self._channel.read()
        self._obey()

    def _obey(self) -> None:
        while self._channel.cancelled:
            task = self._running.get(self._channel.cancelled.popleft())
            if task is not None:
                task.cancel("the lease of this message was lost")
        if self._channel.is_closed:
            self._ended.set()

    def _on_permits(self) -> None:
        room = self._lanes - len(self._running)
        if room > 0:
            loop = asyncio.get_running_loop()
            for begun in self._channel.take_ready(room):
                self._running[begun.seq] = loop.create_task(self._run(begun))
            self._obey()
        if len(self._running) >= self._lanes:
            self._pause_permits()

    async def _run(self, begun: Begun) -> None:
        channel = self._channel
        if begun.message.note:
            channel.note(wire.STARTED, begun.seq)
        started_s = perf_counter()
        try:
            outcome: Outcome = await self._executor.execute_async(begun.message)
            channel.answer(begun.seq, (perf_counter() - started_s) * 1000.0, outcome)
        except asyncio.CancelledError:
            # Only the supervisor cancels: the lease is lost, and it drops whatever this says.
            channel.answer(begun.seq, 0.0, Returned(counted=False))
        except Exception:  # the engine's own; unanswered, its lease would be renewed for ever
            traceback.print_exc()
            os._exit(LANE_FAILED)
        finally:
            del self._running[begun.seq]
            self._read_permits()
