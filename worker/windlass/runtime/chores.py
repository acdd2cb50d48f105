"""Upkeep that any worker does now and then: every chore is bounded, and safe to do twice.

For the lease keeper's thread. What must happen soon (due messages, expired leases) is no chore: a
fetch does it, or says that it is to be done.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import enforce_retention

#: A queue's dead letters are looked at about so often by each worker, seconds.
EVERY_S = 300.0


class Chores:
    """The upkeep of a worker's queues, one queue at a time.

    Args:
        broker: Where.
        queues: Those that the worker serves.
        every_s: Time in which each queue has its turn.
    """

    def __init__(
        self, broker: RedisBroker | MemoryBroker, queues: Sequence[str], every_s: float = EVERY_S
    ) -> None:
        self._broker = broker
        self._every_s = every_s
        self.serve(queues)
        # Workers that start together do not come together.
        self._next_at = monotonic() + random.uniform(0, self._pause_s)
        self._turn = 0

    def serve(self, queues: Sequence[str]) -> None:
        """Look after these queues from now on; from any thread."""
        self._queues = tuple(queues)
        self._pause_s = self._every_s / max(1, len(self._queues))

    def run_once(self) -> int:
        """Do what is due. Returns how many dead letters were deleted."""
        queues = self._queues
        if not queues or monotonic() < self._next_at:
            return 0
        self._next_at = monotonic() + self._pause_s
        queue = queues[self._turn % len(queues)]
        self._turn += 1
        return enforce_retention(self._broker, queue)
