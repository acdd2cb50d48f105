"""Drops the locks of unique messages that hold nothing any more, a bounded part at a time.

A lock is judged when somebody asks for it, so this is about memory alone.
"""

from __future__ import annotations

import random
from time import monotonic

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker

#: A worker goes through the locks about so often, seconds.
EVERY_S = 30.0
#: Calls in one turn, of 500 locks each, while many of them are dropped: leases are renewed by the
#: same thread.
CALLS = 20
#: "Many": more than one in so many.
MANY = 4


class LockSweep:
    """Goes through the locks of a keyspace, on and on.

    Args:
        broker: Where.
        every_s: Time between the end of one pass and the next.
    """

    def __init__(self, broker: RedisBroker | MemoryBroker, every_s: float = EVERY_S) -> None:
        self._broker = broker
        self._every_s = every_s
        self._cursor = "0"
        # Workers that start together do not come together.
        self._next_at = monotonic() + random.uniform(0, 2 * every_s)

    def run_once(self) -> int:
        """Look at a part, if it is time. Returns how many were dropped."""
        if monotonic() < self._next_at:
            return 0
        total = 0
        for _ in range(CALLS):
            self._cursor, seen, dropped = self._broker.sweep_unique(self._cursor)
            total += dropped
            if self._cursor == "0":
                self._next_at = monotonic() + self._every_s
                break
            if dropped * MANY < seen:
                break
        return total
