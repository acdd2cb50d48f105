"""What a pool is, as data: how many processes, how many lanes in each, what it can honour.

A lane is one unit of concurrency. The loop itself is `run(channel, executor, lanes)` in the pool's
module, loaded by name so that a prefork worker does not pay for the imports of the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from windlass.errors import ConfigurationError, nearest

if TYPE_CHECKING:
    from windlass.runtime.executor import Executor
    from windlass.runtime.slot_main import Channel

#: Exit code of a process in which the engine itself failed, and no task: its message runs again.
LANE_FAILED = 70
#: Takes messages from the channel until it closes, runs them, answers each.
PoolLoop = Callable[["Channel", "Executor", int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One kind of pool.

    Attributes:
        name: As `-P` takes it.
        module: Where its loop is.
        is_process_per_lane: Each lane is a process of its own; else one process has them all.
        has_own_process: Tasks run apart from the supervisor, so a stuck or dying task can be
            killed and is survived: hard limits, recycling and revoke(terminate=True) need it.
        can_cancel: A running task can be cancelled from outside without a kill.
    """

    name: str
    module: str
    is_process_per_lane: bool
    has_own_process: bool = True
    can_cancel: bool = False

    def shape(self, concurrency: int) -> tuple[int, int]:
        """Return (processes, lanes in each) for a concurrency; solo has one of each."""
        if not self.has_own_process:
            return 1, 1
        return (concurrency, 1) if self.is_process_per_lane else (1, concurrency)

    def slots(self, concurrency: int) -> int:
        """Return how many tasks run at once."""
        processes, lanes = self.shape(concurrency)
        return processes * lanes

    def load(self) -> PoolLoop:
        """Import the loop."""
        loop: PoolLoop = importlib.import_module(self.module).run
        return loop


PREFORK = Pool(name="prefork", module="windlass.pools.prefork", is_process_per_lane=True)
THREADS = Pool(name="threads", module="windlass.pools.threads", is_process_per_lane=False)
ASYNCIO = Pool(
    name="asyncio", module="windlass.pools.event_loop", is_process_per_lane=False, can_cancel=True
)
SOLO = Pool(
    name="solo", module="windlass.pools.solo", is_process_per_lane=True, has_own_process=False
)

POOLS = {
    "prefork": PREFORK,
    "processes": PREFORK,
    "threads": THREADS,
    "asyncio": ASYNCIO,
    "solo": SOLO,
}


def find_pool(name: str) -> Pool:
    """Return the pool that `-P name` means.

    Raises:
        ConfigurationError: There is no such pool here.
    """
    pool = POOLS.get(name)
    if pool is None:
        text = (
            f"Pool {name!r} does not exist.{nearest(name, POOLS)} Expected one of: "
            f"{', '.join(sorted(POOLS))}. (For many tasks that wait, eventlet and gevent "
            "have an equivalent in -P asyncio with `async def` tasks, or -P threads.)"
        )
        raise ConfigurationError(text)
    return pool
