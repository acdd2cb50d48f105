"""How long deciding takes: one pool's whole plan, and a tick with a thousand pools.

    .venv/bin/python tests/bench/pure_plan.py [--pools 1000] [--rounds 5]

No API server and no broker: what is measured is our own code and nothing else.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from operator_builders import (
    NOW_S,
    make_deployment,
    make_depth,
    make_observed,
    make_pod,
    make_pool,
    make_view,
    make_worker,
    pool_body,
    queue_body,
)
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.metrics import Metrics
from windlass_operator.observe import (
    Histories,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
    survey_plan,
)
from windlass_operator.observed import PoolObserved
from windlass_operator.plan import ApplyObject, Plan, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.reduce_queue import reduce_queue
from windlass_operator.store import Store

URL = "redis://h"
WORKERS = 20
#: Ticks until children are there and statuses are written.
SETTLED = 4


def busy_pool(number: int) -> PoolObserved:
    """A pool of twenty workers, half of them busy, with two queues."""
    pool = make_pool(f"p{number}", queues=[{"name": "emails"}, {"name": "bulk"}], concurrency=4)
    views = tuple(
        make_view(ref, depth=make_depth(ref, open=500 + number % 7, leased=9, started=9),
                  service_s=0.5, arrival_rate=8.0)
        for ref in ("emails", "bulk")
    )  # fmt: skip
    pods = tuple(make_pod(f"p{number}-{n}", deployment=f"p{number}") for n in range(WORKERS))
    workers = tuple(make_worker(pod.name, busy=n % 2) for n, pod in enumerate(pods))
    deployments = (make_deployment(f"p{number}", replicas=WORKERS),)
    return make_observed(pool, queues=views, deployments=deployments, pods=pods, workers=workers)


def timed(call: Callable[[], Any]) -> float:
    """Seconds of the processor that a call takes; what others do on the machine is not in it."""
    began = time.process_time()
    call()
    return time.process_time() - began


def quantiles(seconds: list[float]) -> str:
    """Say the median, the 99th percentile and the worst, milliseconds."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return (
        f"p50 {statistics.median(ordered) * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms, "
        f"max {ordered[-1] * 1e3:.3f} ms"
    )


def plans(pools: int, rounds: int) -> list[float]:
    """Time `reduce_pool` for each of many pools, over some ticks."""
    observed = [busy_pool(number) for number in range(pools)]
    memories = [PoolMemory()] * pools
    times = []
    for tick in range(rounds):
        for index, one in enumerate(observed):
            began = time.process_time()
            outcome = reduce_pool(one, memories[index], NOW_S + 5 * tick)
            times.append(time.process_time() - began)
            memories[index] = outcome.memory
            status = next(a.status for a in outcome.plan.actions if hasattr(a, "status"))
            observed[index] = replace(one, pool=replace(one.pool, status=status))
    return times


def filled(pools: int) -> tuple[Store, Brokers]:
    """A store with pools in namespaces of ten, two queues each, and readings for all of them."""
    store, brokers, views = Store(), Brokers(1.0), {}
    for space in range(pools // 10):
        namespace, depths = f"n{space}", {}
        for number in range(10):
            names = (f"a{number}", f"b{number}")
            for name in names:
                store.put("TaskQueue", queue_body(name, namespace))
                depths[name] = make_depth(name, open=100)
            refs = [{"name": name} for name in names]
            store.put("WorkerPool", pool_body(f"p{number}", namespace, queues=refs))
        views[namespace] = KeyspaceView(keyspace=namespace, depths=depths, records={}, workers=())
    brokers.readings[URL] = Reading(views=views, read_s=time.monotonic())
    return store, brokers


class Ticks:
    """What a tick does beside reading and writing: every queue and pool is looked at in full.

    All of them have work, so nothing is left out: the dearest tick that there is.
    """

    def __init__(self, pools: int) -> None:
        self._store, self._brokers = filled(pools)
        self._memories: dict[tuple[str, str], PoolMemory] = {}
        self._histories, self._metrics = Histories(), Metrics()
        self._number = 0

    def one(self) -> None:
        """Do it once, and take the plans as carried out."""
        self._number += 1
        now_s, world = NOW_S + 5 * self._number, read_objects(self._store)
        for key in world.queues:
            world.addresses[key] = Address(url=URL, operator_url=URL, broker_id="b1")
        survey_plan(world)
        self._histories.follow(world, self._brokers)
        build_views(world, self._brokers, self._histories)
        for key in world.queues:
            plan = reduce_queue(observe_queue(world, self._brokers, key, "b1"), now_s)
            self._carry_out("TaskQueue", key, plan)
        for key in world.pools:
            observed = observe_pool(world, self._store, self._brokers, key)
            outcome = reduce_pool(observed, self._memories.get(key, PoolMemory()), now_s)
            self._memories[key] = outcome.memory
            self._metrics.show_pool(observed, outcome.decision, 1, 0)
            self._carry_out("WorkerPool", key, outcome.plan)

    def _carry_out(self, kind: str, key: tuple[str, str], plan: Plan) -> None:
        for action in plan.actions:
            if isinstance(action, ApplyObject) and action.manifest["kind"] != "Secret":
                metadata = {**action.manifest["metadata"], "resourceVersion": "1"}
                body = {**action.manifest, "metadata": metadata}
                self._store.put(body["kind"], body)
            if isinstance(action, SetStatus) and self._number < SETTLED:
                known = self._store.get(kind, *key) or {}
                self._store.put(kind, {**known, "status": action.status})


def main() -> None:
    """Print three lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    gc.collect()
    gc.freeze()
    times = plans(min(given.pools, 200), given.rounds)
    print(f"reduce_pool, {WORKERS} workers, {len(times)} plans: {quantiles(times)}")
    ticks = Ticks(given.pools)
    for _ in range(SETTLED):
        ticks.one()
    spent = [timed(ticks.one) for _ in range(given.rounds)]
    print(f"a tick without network, {given.pools} pools, {2 * given.pools} queues, all with work: "
          f"{quantiles(spent)}")  # fmt: skip


if __name__ == "__main__":
    main()
