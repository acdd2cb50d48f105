"""Chores of queues that the operator does too: where a pool is at zero, no worker does them.

What was parked for longer than its queue allows is buried, and dead letters are deleted after their
retention. Bounded, safe beside workers that do the same, and nothing where nothing is set aside.
Its failure holds nothing up: the survey says what is wrong with a broker.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from functools import partial

from windlass import log as logs
from windlass.brokers.base import StoredResult
from windlass.brokers.redis import RedisBroker
from windlass.connections import parked_result
from windlass.control_plane.dead_letters import enforce_retention
from windlass.control_plane.parking import ParkLimits
from windlass.errors import BrokerError
from windlass.settings import Settings
from windlass_operator.brokers import Brokers
from windlass_operator.observe import World

log = logs.get_logger(__name__)

#: A queue is looked after once in so long, seconds.
EVERY_S = 30.0
#: Named in the dead letters.
WHO = "windlass-operator"

#: (address, keyspace).
_Space = tuple[str, str]


class Upkeep:
    """Looks after what is set aside in all queues.

    Args:
        brokers: To reach them with.
    """

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self._limits: dict[_Space, ParkLimits] = {}
        self._next_s = 0.0
        self._work: asyncio.Future[None] | None = None
        # Whoever waits for a buried message is told; whether results are wanted is not known here.
        self._settings = Settings(result_backend="redis://broker")

    def look(self, world: World) -> None:
        """Begin what is due, at most once in `EVERY_S`; nobody waits for its end."""
        is_at_it = self._work is not None and not self._work.done()
        if is_at_it or time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + EVERY_S
        spaces = self._with_something(world)
        for space in [space for space in self._limits if space not in spaces]:
            del self._limits[space]
        self._work = asyncio.ensure_future(self._all(spaces)) if spaces else None

    async def finish(self) -> None:
        """Wait for what was begun."""
        if self._work is not None:
            await self._work

    def stop(self) -> None:
        """End it."""
        if self._work is not None:
            self._work.cancel()

    async def _all(self, spaces: dict[_Space, list[str]]) -> None:
        for space, queues in spaces.items():
            await self._one(space, queues)

    def _with_something(self, world: World) -> dict[_Space, list[str]]:
        """Queues that the newest survey saw parked messages or dead letters in."""
        found: defaultdict[_Space, list[str]] = defaultdict(list)
        for (keyspace, name), address in world.addresses.items():
            queue, reading = world.queues[keyspace, name], self._brokers.readings
            if address.operator_url not in reading:
                continue
            view = reading[address.operator_url].views.get(keyspace)
            depth = None if view is None else view.depths.get(queue.queue_name)
            if depth is not None and (depth.parked or depth.dead):
                found[address.operator_url, keyspace].append(queue.queue_name)
        return found

    async def _one(self, space: _Space, queues: list[str]) -> None:
        try:
            await self._brokers.call(*space, partial(self._chores, space, queues))
        except (BrokerError, TimeoutError) as error:
            log.warning("upkeep_failed", keyspace=space[1], error=str(error))
        except Exception:  # whatever one keyspace brings out, the others are looked after
            log.exception("upkeep_failed_unexpectedly", keyspace=space[1])

    def _chores(self, space: _Space, queues: list[str], broker: RedisBroker) -> None:
        limits = self._limits.get(space)
        if limits is None:
            limits = self._limits[space] = ParkLimits(broker, WHO, self._result)
        buried = limits.run_once(queues)
        deleted = sum(enforce_retention(broker, queue) for queue in queues)
        if buried or deleted:
            log.info("upkeep_done", keyspace=space[1], buried=buried, deleted=deleted)

    def _result(self, task_id: str) -> StoredResult | None:
        return parked_result(self._settings, task_id)
