"""A BeatSchedule's turn in a tick of the operator: where, and what is to be done.

Next in the walk: `windlass_operator.apply`.
"""

from __future__ import annotations

from windlass_operator.addresses import Addresses
from windlass_operator.apply import Place
from windlass_operator.brokers import Brokers
from windlass_operator.models.resource import Identity, InvalidSpecError
from windlass_operator.models.taskqueue import TaskQueue, TaskQueueSpec
from windlass_operator.observe import World
from windlass_operator.plan import EmitEvent, Plan
from windlass_operator.reduce_schedule import reduce_deleted, reduce_schedule
from windlass_operator.refusals import refused_spec
from windlass_operator.schedule_observed import ScheduleObserved
from windlass_operator.scheduling import Scheduling
from windlass_operator.store import Key


class ScheduleJobs:
    """Plans for BeatSchedules.

    Args:
        scheduling: Their entries.
        addresses: Of brokers, for entries whose queue is gone.
    """

    def __init__(self, scheduling: Scheduling, addresses: Addresses) -> None:
        self._scheduling = scheduling
        self._addresses = addresses

    async def look(self, world: World) -> None:
        """Read all entries, and have tickers where there are schedules."""
        await self._scheduling.look(world)

    def observe(self, world: World, key: Key) -> ScheduleObserved:
        """Everything about one of them."""
        return self._scheduling.observe(world, key)

    def plan(self, observed: ScheduleObserved, now_s: float) -> tuple[Place, Plan]:
        """Decide about one that is not being deleted."""
        schedule = observed.schedule
        key = (schedule.identity.namespace, schedule.identity.name)
        place = Place(identity=schedule.identity, url=self._scheduling.url_of(key))
        try:
            plan = reduce_schedule(observed, now_s)
        except InvalidSpecError as error:
            return place, refused_spec(schedule.identity, schedule.status, error, now_s)
        return place, plan

    async def plan_deleted(
        self, identity: Identity, brokers: Brokers, now_s: float
    ) -> tuple[Place, Plan]:
        """Decide about one that is being deleted."""
        key = (identity.namespace, identity.name)
        url = self._scheduling.url_of(key) or await self._default_url(identity)
        reading = brokers.readings.get(url)
        is_known = bool(url) and (reading is None or reading.error is None)
        detail = reading.detail if reading is not None else ""
        plan = reduce_deleted(identity, detail, is_known=is_known, now_s=now_s)
        if any(isinstance(action, EmitEvent) for action in plan.actions):
            # the event says that it was given up
            self._scheduling.abandon(key, f"kubernetes:{identity.uid}")
        return Place(identity=identity, url=url), plan

    async def _default_url(self, identity: Identity) -> str:
        """Address of the broker of a queue that names none: its own queue may be gone."""
        some = TaskQueue(identity=identity, spec=TaskQueueSpec())
        address = await self._addresses.of(some)
        return address.operator_url if address.error is None else ""

    def stop(self) -> None:
        """End all tickers."""
        self._scheduling.stop()
