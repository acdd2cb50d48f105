"""Upkeep that any worker does now and then: every chore is bounded, and safe to do twice.

For the lease keeper's thread. What must happen soon (due messages, expired leases) is no chore: a
fetch does it, or says that it is to be done.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from time import monotonic

from windlass import events
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.dead_letters import enforce_retention
from windlass.control_plane.parking import ParkLimits
from windlass.log import get_logger
from windlass.runtime.lock_sweep import LockSweep

#: A queue's dead letters are looked at about so often by each worker, seconds.
EVERY_S = 300.0
#: A worker looks after workflows so often, as a part of the time after which they are looked after.
SWEEPS_APART = 0.25
#: Continuations in one turn: a bound, since leases are renewed by the same thread.
SWEEP_LIMIT = 50
#: A worker looks for checkpoints whose message is gone about so often, seconds.
CHECKPOINTS_EVERY_S = 30.0
#: So many of them at once.
CHECKPOINTS_LIMIT = 500
#: A worker puts the limits of one of its queues right about so often, seconds.
LIMITS_EVERY_S = 10.0

#: A worker looks for messages that were parked too long about so often, seconds.
PARKED_EVERY_S = 30.0

log = get_logger(__name__)


class Chores:
    """The upkeep of a worker's queues, one queue at a time, and of the keyspace's workflows.

    Args:
        broker: Where.
        queues: Those that the worker serves.
        every_s: Time in which each queue has its turn.
        lost_after_s: A workflow is looked after when nobody has for so long; 0 at every turn.
        park_limits: Buries what nobody knows the task of for too long, None: nothing does.
    """

    def __init__(
        self,
        broker: RedisBroker | MemoryBroker,
        queues: Sequence[str],
        every_s: float = EVERY_S,
        lost_after_s: float = 600.0,
        park_limits: ParkLimits | None = None,
    ) -> None:
        self._broker = broker
        self._every_s = every_s
        self._lost_after_s = lost_after_s
        self.serve(queues)
        # Workers that start together do not come together.
        self._next_at = monotonic() + random.uniform(0, self._pause_s)
        self._sweep_at = monotonic() + random.uniform(0, lost_after_s * SWEEPS_APART)
        self._checkpoints_at = monotonic() + random.uniform(0, 2 * CHECKPOINTS_EVERY_S)
        self._limits_at = monotonic() + random.uniform(0, 2 * LIMITS_EVERY_S)
        self._park_limits = park_limits
        self._parked_at = monotonic() + random.uniform(0, PARKED_EVERY_S)
        self._locks = LockSweep(broker)
        self._turn = self._limits_turn = 0

    def serve(self, queues: Sequence[str]) -> None:
        """Look after these queues from now on; from any thread."""
        self._queues = tuple(queues)
        self._pause_s = self._every_s / max(1, len(self._queues))

    def run_once(self) -> int:
        """Do what is due. Returns how many dead letters were deleted and workflows ended."""
        self._forget_checkpoints()
        self._bury_parked()
        self._sweep_limits()
        self._locks.run_once()
        return self._enforce_retention() + self._sweep()

    def _forget_checkpoints(self) -> None:
        if monotonic() < self._checkpoints_at:
            return
        self._checkpoints_at = monotonic() + CHECKPOINTS_EVERY_S
        self._broker.checkpoints.sweep(round(CHECKPOINTS_EVERY_S * 1000), CHECKPOINTS_LIMIT)

    def _sweep_limits(self) -> None:
        """Free the slots of messages that nobody has any more."""
        if monotonic() < self._limits_at or not self._queues:
            return
        self._limits_at = monotonic() + LIMITS_EVERY_S
        self._limits_turn += 1
        queue = self._queues[self._limits_turn % len(self._queues)]
        freed = self._broker.sweep_limits(queue)
        if freed:
            log.warning(events.SLOTS_FREED, messages=freed, queue=queue)

    def _bury_parked(self) -> None:
        if self._park_limits is None or monotonic() < self._parked_at:
            return
        self._parked_at = monotonic() + PARKED_EVERY_S
        buried = self._park_limits.run_once(self._queues)
        if buried:
            log.warning(events.PARKED_TOO_LONG, messages=buried)

    def _sweep(self) -> int:
        """End the waits for what can no longer come."""
        if monotonic() < self._sweep_at:
            return 0
        self._sweep_at = monotonic() + self._lost_after_s * SWEEPS_APART
        ended = self._broker.sweep(round(self._lost_after_s * 1000), SWEEP_LIMIT)
        if ended:
            log.warning(events.WORKFLOWS_SWEPT, continuations=ended)
        return ended

    def _enforce_retention(self) -> int:
        queues = self._queues
        if not queues or monotonic() < self._next_at:
            return 0
        self._next_at = monotonic() + self._pause_s
        queue = queues[self._turn % len(queues)]
        self._turn += 1
        return enforce_retention(self._broker, queue)
