"""The operator's loop on a laptop: the same observation and reductions, carried out by the driver.

One tick a second, sooner when work comes to a sleeping pool or a worker ends.
Next in the walk: `windlass_operator.local.driver`.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from windlass.errors import WindlassError
from windlass_operator.brokers import Brokers
from windlass_operator.local.addresses import local_address
from windlass_operator.local.driver import ConflictError, Driver
from windlass_operator.models.resource import Identity
from windlass_operator.observe import (
    Histories,
    World,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
    survey_plan,
)
from windlass_operator.plan import (
    Action,
    ApplyObject,
    CordonWorker,
    DeleteObject,
    EmitEvent,
    PauseSchedule,
    Plan,
    PurgeQueue,
    PutSchedule,
    RemoveSchedule,
    SetDeletionCost,
    SetReplicas,
    SetStatus,
    TriggerSchedule,
    UncordonWorker,
    WriteRecord,
)
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.reduce_queue import reduce_queue
from windlass_operator.reduce_schedule import reduce_schedule
from windlass_operator.schedule_calls import do_to_schedule
from windlass_operator.scheduling import Scheduling
from windlass_operator.store import Key, Store
from windlass_operator.tickers import Tickers
from windlass_operator.upkeep import Upkeep
from windlass_operator.work_watch import WorkWatch

TICK_S = 1.0
#: Changes that come together are looked at together.
_SETTLE_S = 0.02

#: Told of each event: (kind/name, event).
OnEvent = Callable[[str, EmitEvent], None]


class LocalLoop:
    """Everything that goes round.

    Args:
        store: Holds the resources; statuses are written into it.
        driver: Has the workers.
        brokers: To read and write the brokers with.
        default_url: Broker of queues that name none.
        secrets: Binding Secrets are put here: namespace -> name -> contents.
        on_event: Told what would be a Kubernetes Event.
    """

    def __init__(
        self,
        *,
        store: Store,
        driver: Driver,
        brokers: Brokers,
        default_url: str,
        secrets: defaultdict[str, dict[str, dict[str, str]]],
        on_event: OnEvent,
    ) -> None:
        self._store = store
        self._driver = driver
        self._brokers = brokers
        self._default_url = default_url
        self._secrets = secrets
        self._on_event = on_event
        self._memories: dict[Key, PoolMemory] = {}
        self._bound: dict[Key, str] = {}
        self._histories = Histories()
        self._called = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._watch = WorkWatch(lambda url: brokers.client(url, "default").links, self.call)
        self._schedules = Scheduling(brokers, Tickers(brokers.connect, self.call))
        self._upkeep = Upkeep(brokers)
        #: The newest look at everything; None before the first tick.
        self.world: World | None = None

    def call(self) -> None:
        """Have the next tick come at once; from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._called.set)

    async def run(self) -> None:
        """Tick until cancelled."""
        try:
            while True:
                await self.tick(time.time())
                await self._rest()
        finally:
            self._watch.stop()
            self._schedules.stop()
            self._upkeep.stop()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(TICK_S):
                await self._called.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_SETTLE_S)
        self._called.clear()

    async def tick(self, now_s: float) -> None:
        """Look at everything once and do what is to be done."""
        self._driver.reconcile(time.monotonic())
        world = await self.look()
        await self._schedules.look(world)
        self._upkeep.look(world)
        for key in world.queues:
            await self._queue(world, key, now_s)
        for key in world.schedules:
            await self._schedule(world, key, now_s)
        for key in world.pools:
            await self._pool(world, key, now_s)
        self._driver.reconcile(time.monotonic())
        self._watch.watch(self._sleeping(world))

    async def look(self) -> World:
        """Read the brokers, and decide nothing: also while workers drain."""
        world = read_objects(self._store)
        for key, queue in world.queues.items():
            world.addresses[key] = local_address(queue, self._default_url)
        await self._brokers.survey(survey_plan(world))
        self._driver.see_workers(
            {
                space: view.workers
                for reading in self._brokers.readings.values()
                for space, view in reading.views.items()
            }
        )
        self._histories.follow(world, self._brokers)
        build_views(world, self._brokers, self._histories)
        self.world = world
        return world

    async def _queue(self, world: World, key: Key, now_s: float) -> None:
        observed = observe_queue(world, self._brokers, key, self._bound.get(key))
        address = world.addresses[key]
        plan = reduce_queue(observed, now_s)
        if await self._carry_out(observed.queue.identity, address.operator_url, plan):
            self._bound[key] = address.broker_id

    async def _pool(self, world: World, key: Key, now_s: float) -> None:
        observed = observe_pool(world, self._store, self._brokers, key)
        before = self._memories.get(key, PoolMemory())
        outcome = reduce_pool(observed, before, now_s)
        identity = observed.pool.identity
        url = next(
            (world.addresses[key[0], ref.name].operator_url
             for ref in observed.pool.spec.queues if (key[0], ref.name) in world.addresses),
            "",
        )  # fmt: skip
        if await self._carry_out(identity, url, outcome.plan):
            self._memories[key] = outcome.memory

    async def _schedule(self, world: World, key: Key, now_s: float) -> None:
        observed = self._schedules.observe(world, key)
        plan = reduce_schedule(observed, now_s)
        await self._carry_out(observed.schedule.identity, self._schedules.url_of(key), plan)

    async def _carry_out(self, identity: Identity, url: str, plan: Plan) -> bool:
        try:
            for action in plan.actions:
                await self._one(identity, url, action)
        except (WindlassError, TimeoutError, ConflictError):
            # The status says what is wrong with the broker; the next tick tries again.
            return False
        return True

    async def _one(self, identity: Identity, url: str, action: Action) -> None:
        space = identity.namespace
        match action:
            case ApplyObject():
                self._apply(action.manifest)
            case SetReplicas():
                key = (space, action.deployment)
                self._driver.set_replicas(key, action.replicas, action.resource_version)
            case DeleteObject():
                self._driver.delete_deployment((space, action.name), time.monotonic())
            case SetDeletionCost():
                self._driver.set_deletion_cost(space, action.pod, action.cost)
            case SetStatus():
                self._set_status(identity, action)
            case EmitEvent():
                self._on_event(f"{identity.kind}/{identity.name}", action)
            case _:
                await self._on_broker(url, space, action)

    async def _on_broker(self, url: str, space: str, action: Action) -> None:
        match action:
            case CordonWorker():
                await self._brokers.cordon(url, space, action.worker_id, action.ttl_s)
            case UncordonWorker():
                await self._brokers.uncordon(url, space, action.worker_id)
            case WriteRecord():
                await self._brokers.write_record(url, space, action.queue, action.changes)
            case PurgeQueue():
                await self._brokers.purge(url, space, action.queue)
            case PutSchedule() | PauseSchedule() | TriggerSchedule() | RemoveSchedule():
                do = partial(do_to_schedule, action=action)
                await self._brokers.call(url, space, do)
            case _:
                pass  # finalizers: nothing is deleted here

    def _apply(self, manifest: Any) -> None:
        metadata = manifest["metadata"]
        if manifest["kind"] == "Deployment":
            self._driver.apply_deployment(manifest, time.monotonic())
        elif manifest["kind"] == "Secret":
            self._secrets[metadata["namespace"]][metadata["name"]] = manifest["stringData"]
        else:  # what only a cluster has: remembered, so that it is not asked for again
            self._store.put(manifest["kind"], manifest)

    def _set_status(self, identity: Identity, action: SetStatus) -> None:
        body = self._store.get(identity.kind, identity.namespace, identity.name)
        if body is not None:
            self._store.put(identity.kind, {**body, "status": action.status})

    def _sleeping(self, world: World) -> dict[str, list[tuple[str, str]]]:
        """Queues whose workers are all gone, by address: work on them is waited for."""
        wanted: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for (namespace, name), queue in world.queues.items():
            pools = [
                key
                for key, pool in world.pools.items()
                if key[0] == namespace and name in {ref.name for ref in pool.spec.queues}
            ]
            is_asleep = not any(list(self._store.children("Pod", *key)) for key in pools)
            if pools and is_asleep and not queue.spec.paused:
                url = world.addresses[namespace, name].operator_url
                wanted[url].append((namespace, queue.queue_name))
        return wanted
