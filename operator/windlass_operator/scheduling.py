"""What both loops do about BeatSchedules in a tick: read their entries, and have tickers run.

Beside, it remembers where each entry was put: its queue may be gone before it, or be another one.
Next in the walk: `windlass_operator.reduce_schedule`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from windlass import log as logs
from windlass.beat.record import Schedule
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import Examined, examine_schedules
from windlass.errors import WindlassError
from windlass_operator.brokers import Brokers
from windlass_operator.models.beatschedule import BeatSchedule
from windlass_operator.observe import World
from windlass_operator.observed import QueueView
from windlass_operator.plan import RemoveSchedule
from windlass_operator.schedule_calls import do_to_schedule
from windlass_operator.schedule_observed import ScheduleObserved
from windlass_operator.store import Key
from windlass_operator.tickers import Space, Tickers

log = logs.get_logger(__name__)

#: Between two tries to remove an entry that is left over.
_RETRY_S = 10.0


@dataclass(frozen=True, slots=True)
class Entered:
    """Where an entry was put, and whose it is."""

    url: str
    owner: str


class Scheduling:
    """Entries and tickers of all BeatSchedules.

    Args:
        brokers: To read and write with.
        tickers: Fire them.
    """

    def __init__(self, brokers: Brokers, tickers: Tickers) -> None:
        self._brokers = brokers
        self._tickers = tickers
        self._entered: dict[Key, Entered] = {}
        #: Entries that nobody wants any more, and that could not be removed yet.
        self._left: set[tuple[Key, Entered]] = set()
        self._removing: dict[tuple[Key, Entered], asyncio.Task[None]] = {}
        self._records: dict[Space, Mapping[str, Schedule]] = {}
        self._refused: dict[Space, Mapping[str, str]] = {}

    async def look(self, world: World) -> None:
        """Read all entries, and have tickers where there are schedules; one call each keyspace."""
        self._remove_left()
        names: defaultdict[Space, list[str]] = defaultdict(list)
        wanted: set[Space] = set()
        for key, schedule in world.schedules.items():
            url = self._follow(world, key, schedule)
            if url and not schedule.identity.is_deleting:
                names[url, key[0]].append(key[1])
                if (key[0], schedule.spec.queue_ref.name) in world.queues:
                    wanted.add((url, key[0]))
        self._records.clear()
        await asyncio.gather(*(self._read(space, found) for space, found in names.items()))
        self._tickers.want(wanted)
        alive = world.schedules.keys() | {key for kind, key in world.invalid}
        for key in [key for key in self._entered if key not in alive]:
            del self._entered[key]

    def _follow(self, world: World, key: Key, schedule: BeatSchedule) -> str:
        """Where a schedule's entry is, or will be; '' if nobody knows."""
        address = world.addresses.get((key[0], schedule.spec.queue_ref.name))
        url = address.operator_url if address is not None and address.error is None else ""
        before = self._entered.get(key)
        if before is not None and before.owner != schedule.owner:
            before = None  # of an object of the same name before it
        if not url:
            return before.url if before is not None else ""
        if before is not None and _server(before.url) != _server(url):
            self._left.add((key, before))
        self._entered[key] = Entered(url, schedule.owner)
        return url

    async def _read(self, space: Space, names: Sequence[str]) -> None:
        def read(broker: RedisBroker) -> Examined:
            return examine_schedules(broker, names)

        try:
            found = await self._brokers.call(*space, read)
        except (WindlassError, TimeoutError) as error:
            log.warning("schedules_not_read", keyspace=space[1], error=str(error))
        else:
            self._records[space] = {schedule.entry.name: schedule for schedule in found.found}
            self._refused[space] = found.refused

    def _remove_left(self) -> None:
        """Go on removing what is left, beside the ticks: its broker may not answer for ever."""
        for left in self._left - self._removing.keys():
            self._removing[left] = asyncio.create_task(self._remove(*left))

    async def _remove(self, key: Key, entered: Entered) -> None:
        action = RemoveSchedule(name=key[1], owner=entered.owner)
        try:
            await self._brokers.call(entered.url, key[0], partial(do_to_schedule, action=action))
        except (WindlassError, TimeoutError) as error:
            log.warning("schedule_not_removed", schedule="/".join(key), error=str(error))
            await asyncio.sleep(_RETRY_S)
        else:
            self._left.discard((key, entered))
        del self._removing[key, entered]

    def url_of(self, key: Key) -> str:
        """Where the entry of a schedule is, '' if nobody knows."""
        entered = self._entered.get(key)
        return entered.url if entered is not None else ""

    def observe(self, world: World, key: Key) -> ScheduleObserved:
        """Everything about one BeatSchedule."""
        schedule = world.schedules[key]
        ref = schedule.spec.queue_ref.name
        view = world.views.get((key[0], ref)) or QueueView(ref=ref, queue=None)
        space = (self.url_of(key), key[0])
        records = self._records.get(space)
        return ScheduleObserved(
            schedule=schedule,
            view=view,
            record=None if records is None else records.get(key[1]),
            is_known=records is not None,
            refusal="" if records is None else self._refused[space].get(key[1], ""),
        )

    def abandon(self, key: Key, owner: str) -> None:
        """Its object is let go: its entry is removed when its broker is back, if it ever is."""
        url = self.url_of(key)
        if url:
            self._left.add((key, Entered(url, owner)))

    def stop(self) -> None:
        """End all tickers."""
        for task in self._removing.values():
            task.cancel()
        self._tickers.stop()


def _server(url: str) -> tuple[str, str]:
    """What stays when credentials are rotated: host and database."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2], parts.path
