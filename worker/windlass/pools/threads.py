"""The threads loop: one slot process, N threads. The main thread hands out permits' messages."""

from __future__ import annotations

import os
import queue
import threading
import traceback
from time import perf_counter
from typing import TYPE_CHECKING

from windlass.pools.base import LANE_FAILED
from windlass.runtime import wire

if TYPE_CHECKING:
    from windlass.runtime.executor import Executor
    from windlass.runtime.slot_main import Begun, Channel


def run(channel: Channel, executor: Executor, lanes: int) -> None:
    """Run messages in `lanes` threads until the channel closes; then wait for what has begun."""
    # A plain lock-and-count: a permit is taken only when a thread is free to begin its message.
    free = threading.Semaphore(lanes)
    jobs: queue.SimpleQueue[Begun | None] = queue.SimpleQueue()
    threads = [
        threading.Thread(
            target=_serve, args=(channel, executor, jobs, free), name=f"lane-{n}", daemon=True
        )
        for n in range(lanes)
    ]
    for thread in threads:
        thread.start()
    while True:
        free.acquire()
        begun = channel.take()
        if begun is None:
            break
        jobs.put(begun)
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join()


def _serve(
    channel: Channel,
    executor: Executor,
    jobs: queue.SimpleQueue[Begun | None],
    free: threading.Semaphore,
) -> None:
    try:
        _run_jobs(channel, executor, jobs, free)
    except BaseException:  # a lane less for good would be a slow leak: end the process instead
        traceback.print_exc()
        os._exit(LANE_FAILED)


def _run_jobs(
    channel: Channel,
    executor: Executor,
    jobs: queue.SimpleQueue[Begun | None],
    free: threading.Semaphore,
) -> None:
    while (begun := jobs.get()) is not None:
        if begun.message.note:
            channel.note(wire.STARTED, begun.seq)
        started_s = perf_counter()
        outcome = executor.execute(begun.message)
        channel.answer(begun.seq, (perf_counter() - started_s) * 1000.0, outcome)
        free.release()
