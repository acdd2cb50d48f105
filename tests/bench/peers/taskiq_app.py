"""The taskiq application under measurement; settings are explained in `peers.taskiq_peer`."""

from __future__ import annotations

import asyncio
import os

from harness import marks
from harness.peer import RESULTS_NAME, TUNED_NAME, URL_NAME
from taskiq import AsyncBroker
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

_url = os.environ[URL_NAME]
_recovery = os.environ.get(TUNED_NAME) == "1"


def _build() -> AsyncBroker:
    kind = os.environ.get("BENCH_TASKIQ_BROKER", "list")
    made: AsyncBroker
    if _recovery:
        # The default is 10 minutes; 10 s is as low as leaves room for a slow task.
        made = RedisStreamBroker(
            _url, consumer_id="0", idle_timeout=10_000, unacknowledged_lock_timeout=5
        )
    elif kind == "stream":
        made = RedisStreamBroker(_url, consumer_id="0")
    else:
        made = ListQueueBroker(_url)
    if os.environ[RESULTS_NAME] == "1":
        made = made.with_result_backend(RedisAsyncResultBackend(_url, result_ex_time=86_400))
    return made


broker = _build()


@broker.task
async def warmup() -> None:
    """Nothing: sent once, to open the connection."""


@broker.task
async def noop() -> None:
    """Count and return."""
    marks.count()


@broker.task
async def add(x: int, y: int) -> int:
    """Count and add."""
    marks.count()
    return x + y


@broker.task
async def mark(index: int) -> None:
    """Leave a mark."""
    marks.mark(index)


@broker.task
async def sleep10() -> None:
    """Sleep 10 ms."""
    await asyncio.sleep(0.01)
    marks.count()


@broker.task
async def work50(index: int) -> None:
    """Work for 50 ms."""
    await asyncio.sleep(0.05)
    marks.mark(index)
