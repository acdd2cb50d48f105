"""The scaler's loop: one world a tick, one survey a broker, one reduction an object.

Ticks come every few seconds with some jitter, sooner when something changed or work came to a
sleeping pool. Level-based: a tick knows nothing of why it came.
Next in the walk: `windlass_operator.observe`, `reduce_pool`, `apply`.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from dataclasses import replace
from typing import Any

from windlass import log as logs
from windlass.errors import WindlassError
from windlass_operator.addresses import Addresses
from windlass_operator.apply import Applier, NotLeaderError, Place
from windlass_operator.brokers import Brokers
from windlass_operator.kube import KubeError
from windlass_operator.metrics import Metrics
from windlass_operator.models.resource import Identity, InvalidSpecError, identity_of
from windlass_operator.observe import (
    Histories,
    World,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
    record_of,
    survey_plan,
)
from windlass_operator.observed import BrokerError
from windlass_operator.plan import ApplyObject, OnSchedule, Plan, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.quiet import (
    Quiet,
    is_asleep,
    is_settled,
    seen_of_pool,
    seen_of_queue,
    seen_of_schedule,
)
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.reduce_queue import reduce_queue
from windlass_operator.refusals import reduce_invalid, without_refused
from windlass_operator.scaling.stabilize import still_wanted
from windlass_operator.schedule_jobs import ScheduleJobs
from windlass_operator.scheduling import Scheduling
from windlass_operator.store import Key, Store
from windlass_operator.tickers import Tickers
from windlass_operator.upkeep import Upkeep
from windlass_operator.work_watch import WorkWatch

log = logs.get_logger(__name__)

_JITTER = 0.2
#: Changes that come together are looked at together.
_SETTLE_S = 0.15
#: However much changes: no more ticks than this many a second.
_SOONEST_S = 0.5
#: And no more than this part of the time is spent on them, if they take long; but for work that
#: came to a pool at zero, which waits for nothing.
_SPACING = 3.0
_LATEST_S = 2.0
#: Objects worked on at once: the API server answers many as fast as few.
_AT_ONCE = 32
#: Answers of the API server that the same request would get again.
_REFUSALS = (400, 403, 422)


class Loop:
    """Everything of the operator that goes round."""

    def __init__(
        self,
        *,
        store: Store,
        brokers: Brokers,
        addresses: Addresses,
        applier: Applier,
        metrics: Metrics,
        tick_s: float,
        image_pull_secrets: tuple[str, ...] = (),
    ) -> None:
        self._store = store
        self._brokers = brokers
        self._addresses = addresses
        self._applier = applier
        self._metrics = metrics
        self._tick_s = tick_s
        self._image_pull_secrets = image_pull_secrets
        self._memories: dict[Key, PoolMemory] = {}
        self._bound: dict[Key, str] = {}
        #: What went wrong with an object that should never: said once.
        self._mistakes: dict[tuple[str, Key], str] = {}
        self._histories = Histories()
        self._quiet = Quiet()
        #: Time of the tick before.
        self._before_s = 0.0
        self._called = asyncio.Event()
        self._woken = asyncio.Event()
        #: What a plan of this tick waits for is looked at again after so long.
        self._look_again_s = float("inf")
        self._loop = asyncio.get_running_loop()
        self._watch = WorkWatch(
            lambda url: brokers.client(url, "default").links,
            self._call_from_thread,
        )
        tickers = Tickers(brokers.connect, self._call_soon, metrics.note_fire)
        self._schedules = ScheduleJobs(Scheduling(brokers, tickers), addresses)
        self._upkeep = Upkeep(brokers)
        self._began_s = time.monotonic()
        #: When the last tick ended, monotonic; for liveness.
        self.ticked_s = time.monotonic()

    def _call_from_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._wake)

    def _call_soon(self) -> None:
        """`call`, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.call)

    def _wake(self) -> None:
        """Work came to a pool at zero: the next tick comes now."""
        self._woken.set()
        self._called.set()

    def call(self) -> None:
        """Have the next tick come soon."""
        self._called.set()

    async def run(self) -> None:
        """Tick until leadership is lost."""
        try:
            while True:
                began_s = time.monotonic()
                with self._metrics.ticks.time():
                    await self.tick(time.time())  # the one place that has it
                self.ticked_s = time.monotonic()
                await self._rest(began_s)
        finally:
            self._watch.stop()
            self._schedules.stop()
            self._upkeep.stop()

    async def _rest(self, began_s: float) -> None:
        took_s = time.monotonic() - began_s
        jitter = 1 + random.uniform(-_JITTER, _JITTER)
        try:
            async with asyncio.timeout(min(self._tick_s * jitter, self._look_again_s)):
                await self._called.wait()
        except TimeoutError:
            return
        spacing_s = min(max(_SOONEST_S, _SPACING * took_s), _LATEST_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(_SETTLE_S, began_s + spacing_s - time.monotonic())):
                await self._woken.wait()
        self._called.clear()
        self._woken.clear()

    async def tick(self, now_s: float) -> None:
        """Look at everything once and do what is to be done."""
        self._look_again_s = float("inf")
        world = read_objects(self._store)
        world.image_pull_secrets = self._image_pull_secrets
        for key, queue in world.queues.items():
            world.addresses[key] = await self._addresses.of(queue)
        await self._brokers.ensure_users(
            {key[0]: a for key, a in world.addresses.items() if a.user is not None}
        )
        await self._brokers.survey(survey_plan(world))
        self._after_survey(world)
        self._histories.follow(world, self._brokers)
        build_views(world, self._brokers, self._histories)
        self._metrics.queues.views = world.views
        await self._schedules.look(world)
        self._upkeep.look(world)
        await self._each(
            (kind, key, self._invalid(kind, key, error, now_s))
            for (kind, key), error in world.invalid.items()
        )
        await self._each(
            ("TaskQueue", key, self._queue(world, key, now_s))
            for key in world.queues
            if not self._quiet.is_quiet("TaskQueue", key, self._seen_queue(world, key), now_s)
        )
        await self._each(
            ("WorkerPool", key, self._pool(world, key, now_s))
            for key in world.pools
            if not self._quiet.is_quiet("WorkerPool", key, self._seen_pool(world, key), now_s)
        )
        await self._each(
            ("BeatSchedule", key, self._schedule(world, key, now_s)) for key in world.schedules
        )
        self._forget(world)
        self._watch.watch(self._sleeping(world))
        self._before_s = now_s

    def _seen_queue(self, world: World, key: Key) -> tuple[Any, ...]:
        record = record_of(world, self._brokers, key)
        return seen_of_queue(world, key, record, self._bound.get(key))

    def _seen_pool(self, world: World, key: Key) -> tuple[Any, ...]:
        return seen_of_pool(world, key, self._store.revision(key))

    def _after_survey(self, world: World) -> None:
        for reading in self._brokers.readings.values():
            if reading.failures == 0:
                self._metrics.broker_reads.observe(reading.took_s)
        for key, address in world.addresses.items():
            known = self._brokers.readings.get(address.operator_url)
            if known is not None and known.error is BrokerError.AUTH_FAILED:
                self._addresses.forget_secrets(key[0])

    async def _each(self, jobs: Iterable[tuple[str, Key, Awaitable[None]]]) -> None:
        """Do all of them, some at once; each is made when it is its turn."""
        left = iter(jobs)

        async def work() -> None:
            # Decided only when it can be carried out, and the Lease is renewed in between: a
            # thousand decisions in a row would keep it waiting.
            for kind, key, job in left:
                await self._guarded(kind, key, job)
                await asyncio.sleep(0)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def _guarded(self, kind: str, key: Key, job: Awaitable[None]) -> None:
        """A mistake of ours that one object brings out stops nobody else's."""
        try:
            await job
        except NotLeaderError:
            raise
        except Exception as error:
            self._metrics.failures.labels(kind, "Bug").inc()
            is_news = self._mistakes.get((kind, key)) != repr(error)
            self._mistakes[kind, key] = repr(error)
            if is_news:
                log.exception("object_not_reconciled", kind=kind, object="/".join(key))

    # -- one object ------------------------------------------------------------------------------

    async def _pool(self, world: World, key: Key, now_s: float) -> None:
        observed = observe_pool(world, self._store, self._brokers, key)
        if observed.pool.identity.is_deleting:
            return  # its children go with it, by the garbage collector
        before, seen = self._memories.get(key, PoolMemory()), self._seen_pool(world, key)
        if before.scaling is not None and self._quiet.was_left_out("WorkerPool", key):
            before = replace(before, scaling=still_wanted(before.scaling, self._before_s))
        with self._metrics.reconciles.labels("WorkerPool").time():
            outcome = reduce_pool(observed, before, now_s)
            if outcome.plan.look_again_s is not None:
                self._look_again_s = min(self._look_again_s, outcome.plan.look_again_s)
            place = Place(identity=observed.pool.identity, url=self._url_of(world, key))
            is_done = await self._carry_out("WorkerPool", place, outcome.plan, now_s)
        # What was not carried out is not remembered, but for the stabiliser's history.
        after = outcome.memory if is_done else replace(before, scaling=outcome.memory.scaling)
        self._memories[key] = after
        is_quiet = is_done and is_settled(outcome.plan, observed.pool.status)
        is_quiet = is_quiet and is_asleep(observed, after, outcome.decision)
        self._quiet.note("WorkerPool", key, seen, now_s, is_settled=is_quiet)
        desired = next(
            a.status["desiredReplicas"] for a in outcome.plan.actions if isinstance(a, SetStatus)
        )
        self._metrics.show_pool(observed, outcome.decision, desired, after.wrong_victims)

    def _url_of(self, world: World, key: Key) -> str:
        for ref in world.pools[key].spec.queues:
            address = world.addresses.get((key[0], ref.name))
            if address is not None and address.operator_url:
                return address.operator_url
        return ""

    async def _queue(self, world: World, key: Key, now_s: float) -> None:
        observed = observe_queue(world, self._brokers, key, self._bound.get(key))
        address, seen = world.addresses[key], self._seen_queue(world, key)
        with self._metrics.reconciles.labels("TaskQueue").time():
            plan = reduce_queue(observed, now_s)
            place = Place(identity=observed.queue.identity, url=address.operator_url)
            is_done = await self._carry_out("TaskQueue", place, plan, now_s)
        if is_done and any(isinstance(action, ApplyObject) for action in plan.actions):
            self._bound[key] = address.broker_id
        is_quiet = is_done and is_settled(plan, observed.queue.status)
        is_quiet = is_quiet and not observed.queue.identity.is_deleting
        self._quiet.note("TaskQueue", key, seen, now_s, is_settled=is_quiet)

    async def _invalid(self, kind: str, key: Key, error: InvalidSpecError, now_s: float) -> None:
        body = self._store.get(kind, *key)
        if body is None:
            return
        identity = identity_of(body)
        if kind == "BeatSchedule" and identity.is_deleting:
            await self._deleted_schedule(identity, now_s)
            return
        plan = reduce_invalid(body, error, now_s)
        await self._carry_out(kind, Place(identity=identity), plan, now_s)

    async def _schedule(self, world: World, key: Key, now_s: float) -> None:
        identity = world.schedules[key].identity
        if identity.is_deleting:
            await self._deleted_schedule(identity, now_s)
            return
        observed = self._schedules.observe(world, key)
        seen = seen_of_schedule(observed)
        if self._quiet.is_quiet("BeatSchedule", key, seen, now_s):
            return
        with self._metrics.reconciles.labels("BeatSchedule").time():
            place, plan = self._schedules.plan(observed, now_s)
            is_done = await self._carry_out("BeatSchedule", place, plan, now_s)
        if is_done and any(isinstance(action, OnSchedule) for action in plan.actions):
            self.call()  # the status tells what became of it
        is_quiet = is_done and is_settled(plan, observed.schedule.status)
        self._quiet.note("BeatSchedule", key, seen, now_s, is_settled=is_quiet)

    async def _deleted_schedule(self, identity: Identity, now_s: float) -> None:
        place, plan = await self._schedules.plan_deleted(identity, self._brokers, now_s)
        await self._carry_out("BeatSchedule", place, plan, now_s)

    async def _carry_out(self, kind: str, place: Place, plan: Plan, now_s: float) -> bool:
        try:
            await self._applier.apply(place, plan)
        except NotLeaderError:
            raise
        except (WindlassError, TimeoutError) as error:
            cause = type(error).__name__
            if isinstance(error, KubeError):
                cause = f"{cause}{error.status}"
            self._metrics.failures.labels(kind, cause).inc()
            log.warning(
                "plan_not_carried_out", kind=kind, object=place.identity.key, error=str(error)
            )
            if isinstance(error, KubeError) and error.status in _REFUSALS:
                await self._say(place, plan, str(error), now_s)
            return False
        return True

    async def _say(self, place: Place, plan: Plan, refusal: str, now_s: float) -> None:
        """Have the status tell that the API server refused a child."""
        identity = place.identity
        body = self._store.get(identity.kind, identity.namespace, identity.name) or {}
        said = without_refused(plan, body.get("status") or {}, refusal, now_s)
        with contextlib.suppress(WindlassError, TimeoutError):
            await self._applier.apply(place, said)

    # -- upkeep ----------------------------------------------------------------------------------

    def _forget(self, world: World) -> None:
        self._quiet.forget(world)
        self._store.forget_revisions(world.pools)
        for key in [key for key in self._memories if key not in world.pools]:
            del self._memories[key]
            self._metrics.forget_pool(*key)
        for key in [key for key in self._bound if key not in world.queues]:
            del self._bound[key]
        alive = world.pools.keys() | world.queues.keys() | world.schedules.keys()
        for known in [known for known in self._mistakes if known[1] not in alive]:
            del self._mistakes[known]

    def _sleeping(self, world: World) -> dict[str, list[tuple[str, str]]]:
        """Queues that no worker waits on, since all their pools are at zero: by address."""
        awake: set[Key] = set()
        asleep: set[Key] = set()
        for key, pool in world.pools.items():
            replicas = self._memories.get(key, PoolMemory()).replicas_set
            is_asleep = pool.spec.autoscaling is not None and not any(replicas.values())
            target = asleep if is_asleep else awake
            target.update((key[0], ref.name) for ref in pool.spec.queues)
        wanted: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for key in asleep - awake:
            queue, address = world.queues.get(key), world.addresses.get(key)
            if queue is None or address is None or not address.operator_url:
                continue
            if not queue.spec.paused:
                wanted[address.operator_url].append((key[0], queue.queue_name))
        return wanted
