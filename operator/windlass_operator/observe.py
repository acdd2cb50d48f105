"""Gathers what decisions read: store + survey + smoothed histories -> frozen views.

One `World` a tick. Invalid objects are set apart with their error; they stop nobody else.
Next in the walk: `windlass_operator.reduce_pool` and `reduce_queue`.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from windlass.control_plane.heartbeats import WorkerStatus
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.health_of_pods import trouble
from windlass_operator.models.beatschedule import BeatSchedule
from windlass_operator.models.resource import InvalidSpecError
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.models.workerpool import WorkerPool
from windlass_operator.observed import BrokerView, PoolObserved, QueueObserved, QueueView
from windlass_operator.pool_scaling import need_of
from windlass_operator.readings import (
    M,
    Model,
    read_child,
    read_deployment,
    read_pod,
    read_pool,
    read_queue,
    read_schedule,
)
from windlass_operator.scaling.divide import PoolCapacity, divide
from windlass_operator.scaling.smoothing import QueueHistory, QueueTotals, update
from windlass_operator.store import Key, Store

#: Down window where no autoscaled pool names one.
QUIET_S = 300.0


@dataclass(slots=True)
class World:
    """Everything of one tick, by (namespace, name)."""

    queues: dict[Key, TaskQueue] = field(default_factory=dict)
    pools: dict[Key, WorkerPool] = field(default_factory=dict)
    schedules: dict[Key, BeatSchedule] = field(default_factory=dict)
    invalid: dict[tuple[str, Key], InvalidSpecError] = field(default_factory=dict)
    addresses: dict[Key, Address] = field(default_factory=dict)
    views: dict[Key, QueueView] = field(default_factory=dict)
    shares: dict[Key, dict[str, float]] = field(default_factory=dict)
    #: Queue -> names of the pools that serve it, whether it is declared or not.
    serving: dict[Key, list[str]] = field(default_factory=dict)
    #: Pools of shared queues whose workers do not start -> replicas asked for now: more would not
    #: help.
    stuck: dict[Key, int] = field(default_factory=dict)
    image_pull_secrets: tuple[str, ...] = ()


def read_objects(store: Store) -> World:
    """Read all resources; those with an invalid spec are set apart."""
    world = World()
    _sort(world, "TaskQueue", store.read_all("TaskQueue", read_queue), world.queues)
    _sort(world, "WorkerPool", store.read_all("WorkerPool", read_pool), world.pools)
    _sort(world, "BeatSchedule", store.read_all("BeatSchedule", read_schedule), world.schedules)
    for (namespace, name), declared in world.pools.items():
        for ref in declared.spec.queues:
            world.serving.setdefault((namespace, ref.name), []).append(name)
    for key in world.pools:
        replicas = _stuck_at(store, *key) if _shared(world, key) else None
        if replicas is not None:
            world.stuck[key] = replicas
    return world


def _sort(
    world: World, kind: str, objects: Iterable[tuple[Key, Model[M]]], usable: dict[Key, M]
) -> None:
    for key, model in objects:
        if isinstance(model.value, InvalidSpecError):
            world.invalid[kind, key] = model.value
        else:
            usable[key] = model.value


def _stuck_at(store: Store, namespace: str, pool: str) -> int | None:
    """Replicas of a pool if workers of its newest version do not start, None if they do."""
    deployments = store.read_children("Deployment", namespace, pool, read_deployment)
    newest = max((view for view, _ in deployments), key=lambda d: d.created_s, default=None)
    if newest is None:
        return None
    pods = store.read_children("Pod", namespace, pool, read_pod)
    current = [pod for pod in pods if pod.version == newest.version and not pod.is_deleting]
    return None if trouble(current) is None else newest.replicas


def survey_plan(world: World) -> dict[str, dict[str, dict[str, int]]]:
    """What to read where: address -> keyspace -> queue -> how far to look ahead, milliseconds."""
    horizons: dict[Key, float] = {}
    for (namespace, _), pool in world.pools.items():
        if pool.spec.autoscaling is not None:
            for ref in pool.spec.queues:
                key = (namespace, ref.name)
                horizons[key] = max(horizons.get(key, 0.0), pool.spec.autoscaling.wake_horizon)
    wanted: defaultdict[str, defaultdict[str, dict[str, int]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for key, queue in world.queues.items():
        address = world.addresses.get(key)
        if address is not None and address.error is None:
            horizon_ms = int(horizons.get(key, 0.0) * 1000)
            wanted[address.operator_url][key[0]][queue.queue_name] = horizon_ms
    return {url: dict(spaces) for url, spaces in wanted.items()}


class Histories:
    """Smoothed arrivals and run times of every queue."""

    def __init__(self) -> None:
        self._known: dict[Key, QueueHistory] = {}

    def follow(self, world: World, brokers: Brokers) -> None:
        """Take the newest readings in, and forget queues that are gone."""
        quiet = _quiet_times(world)
        for key, queue in world.queues.items():
            reading, view = _reading(world, brokers, key)
            if reading is None or view is None or queue.queue_name not in view.depths:
                continue
            depth = view.depths[queue.queue_name]
            totals = QueueTotals(
                at_s=reading.read_s,
                enqueued=depth.enqueued,
                completed=depth.completed,
                service_ms=depth.service_ms,
            )
            self._known[key] = update(self.of(key), totals, quiet.get(key, QUIET_S))
        for key in [key for key in self._known if key not in world.queues]:
            del self._known[key]

    def of(self, key: Key) -> QueueHistory:
        """What is known of one queue."""
        return self._known.get(key, QueueHistory())


def _quiet_times(world: World) -> dict[Key, float]:
    """After how long without arrivals a queue's rate is exactly 0: its pools' down window."""
    times: dict[Key, float] = {}
    for (namespace, _), pool in world.pools.items():
        if pool.spec.autoscaling is not None:
            for ref in pool.spec.queues:
                known = times.get((namespace, ref.name), 0.0)
                window = pool.spec.autoscaling.scale_down.window
                times[namespace, ref.name] = max(known, window)
    return times


def build_views(world: World, brokers: Brokers, histories: Histories) -> None:
    """Fill in the view of each queue, and each pool's share of the needs."""
    conflicts = _conflicts(world)
    # Queues of a namespace mostly live on one broker: its view is made once.
    seen: dict[tuple[str, Address | None], BrokerView | None] = {}
    for key, queue in world.queues.items():
        reading, space = _reading(world, brokers, key)
        place = (key[0], world.addresses.get(key))
        if place not in seen:
            seen[place] = _broker_view(place[1], key[0], reading)
        history = histories.of(key)
        depth = space.depths.get(queue.queue_name) if space else None
        world.views[key] = QueueView(
            ref=key[1],
            queue=queue,
            broker=seen[place],
            depth=depth,
            arrival_rate=history.arrival_rate,
            service_s=history.service_s,
            due_soon=depth.due_soon if depth else 0,
            conflict=conflicts.get(key, ""),
            aside=reading.set_aside(key[0], queue.queue_name) if reading else None,
        )
    _divide(world)


def _reading(
    world: World, brokers: Brokers, key: Key
) -> tuple[Reading | None, KeyspaceView | None]:
    address = world.addresses.get(key)
    if address is None or not address.operator_url:
        return None, None
    reading = brokers.readings.get(address.operator_url)
    return reading, reading.views.get(key[0]) if reading else None


def _broker_view(
    address: Address | None, namespace: str, reading: Reading | None
) -> BrokerView | None:
    if address is None:
        return None
    if address.error is not None:
        return BrokerView(
            broker_id="", keyspace=namespace, error=address.error, detail=address.detail
        )
    if reading is None:
        return BrokerView(broker_id=address.broker_id, keyspace=namespace)
    stale_s = time.monotonic() - reading.read_s if reading.read_s else 0.0
    return BrokerView(
        broker_id=address.broker_id,
        keyspace=namespace,
        error=reading.error,
        detail=reading.detail,
        failures=reading.failures,
        stale_s=stale_s,
    )


def _conflicts(world: World) -> dict[Key, str]:
    """The younger of two TaskQueues with the same queue name and broker -> the older."""
    first: dict[tuple[str, str, str], Key] = {}
    conflicts: dict[Key, str] = {}
    for key, queue in sorted(world.queues.items(), key=lambda item: _age_of(item[1])):
        address = world.addresses.get(key)
        if address is None or not address.broker_id:
            continue  # nobody knows where it lives, so nobody knows that it is in the way
        place = (key[0], address.broker_id, queue.queue_name)
        if place in first:
            conflicts[key] = first[place][1]
        else:
            first[place] = key
    return conflicts


def _age_of(queue: TaskQueue) -> tuple[float, str]:
    return queue.identity.created_s, queue.identity.uid


def _divide(world: World) -> None:
    by_namespace: defaultdict[str, list[tuple[Key, WorkerPool]]] = defaultdict(list)
    for key, pool in world.pools.items():
        by_namespace[key[0]].append((key, pool))
    for namespace, pools in by_namespace.items():
        needs: dict[str, float] = {}
        capacities = []
        for key, pool in pools:
            auto = pool.spec.autoscaling
            most = (pool.spec.replicas or 0) if auto is None else auto.max_replicas
            most = min(most, world.stuck.get(key, most))
            slots = 0 if pool.spec.paused else pool.spec.concurrency * most
            names = tuple(ref.name for ref in pool.spec.queues)
            capacities.append(PoolCapacity(pool=key[1], queues=names, slots=slots))
            for name in names:
                view = world.views.get((namespace, name))
                if auto is not None and view is not None and not view.conflict:
                    needs[name] = max(needs.get(name, 0.0), need_of(view, auto))
        for pool_name, shares in divide(needs, capacities).items():
            world.shares[namespace, pool_name] = shares


def observe_pool(world: World, store: Store, brokers: Brokers, key: Key) -> PoolObserved:
    """Everything about one pool."""
    namespace, name = key
    pool = world.pools[key]
    views = tuple(
        world.views.get((namespace, ref.name)) or QueueView(ref=ref.name, queue=None)
        for ref in pool.spec.queues
    )
    deployments = store.read_children("Deployment", namespace, name, read_deployment)
    pods = store.read_children("Pod", namespace, name, read_pod)
    children = {("Deployment", child.name): child for _, child in deployments}
    for kind in ("ServiceAccount", "PodDisruptionBudget"):
        for child in store.read_children(kind, namespace, name, read_child):
            children[kind, child.name] = child
    hosts = {pod.name for pod in pods}
    workers, known = [], False
    first = next((view for view in views if view.queue is not None), None)
    if first is not None:
        reading, space = _reading(world, brokers, (namespace, first.ref))
        known = space is not None and reading is not None and reading.error is None
        workers = _workers_of(space, hosts)
    return PoolObserved(
        pool=pool,
        queues=views,
        deployments=tuple(view for view, _ in deployments),
        pods=tuple(pods),
        workers=tuple(workers),
        children=children,
        shares=world.shares.get(key, {}),
        shared=_shared(world, key),
        workers_known=known,
        image_pull_secrets=world.image_pull_secrets,
    )


def _workers_of(space: KeyspaceView | None, pods: set[str]) -> list[WorkerStatus]:
    """The workers of these pods, under the names of the pods: that is what they are matched by."""
    found = [worker for worker in (space.workers if space else ()) if worker.host in pods]
    return [msgspec.structs.replace(worker, hostname=worker.host) for worker in found]


def _shared(world: World, key: Key) -> frozenset[str]:
    names = (ref.name for ref in world.pools[key].spec.queues)
    return frozenset(name for name in names if len(world.serving[key[0], name]) > 1)


def record_of(world: World, brokers: Brokers, key: Key) -> QueueRecord | None:
    """A queue's record as the broker has it, None if that is not known."""
    _, space = _reading(world, brokers, key)
    return space.records.get(world.queues[key].queue_name) if space else None


def observe_queue(world: World, brokers: Brokers, key: Key, bound: str | None) -> QueueObserved:
    """Everything about one TaskQueue; `bound` is the broker_id that its Secret was last for."""
    queue, view, address = world.queues[key], world.views[key], world.addresses.get(key)
    record = record_of(world, brokers, key)
    usable = address is not None and address.error is None
    return QueueObserved(
        queue=queue,
        view=view,
        pools=tuple(world.serving.get(key, ())),
        binding_exists=usable and address is not None and bound == address.broker_id,
        binding={"url": address.url, "keyspace": key[0]} if usable and address else None,
        record=None
        if record is None or (view.broker is not None and view.broker.error is not None)
        else msgspec.structs.asdict(record),
    )
