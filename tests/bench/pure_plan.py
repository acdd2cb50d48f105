"""How long deciding takes: one pool's whole plan, and the scaling of a thousand pools.

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
from windlass_operator.observe import (
    Histories,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
)
from windlass_operator.observed import PoolObserved
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.pool_scaling import decide_pool
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.store import Store

URL = "redis://h"
WORKERS = 20


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


def tick(store: Store, brokers: Brokers) -> None:
    """What a tick does before it acts: read, view, divide, see every queue, decide every pool."""
    world = read_objects(store)
    for key in world.queues:
        world.addresses[key] = Address(url=URL, operator_url=URL, broker_id="b1")
    build_views(world, brokers, Histories())
    for key in world.queues:
        observe_queue(world, brokers, key, None)
    for key in world.pools:
        decide_pool(observe_pool(world, store, brokers, key), None, 3, "", NOW_S)


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
    store, brokers = filled(given.pools)
    ticks = [timed(lambda: tick(store, brokers)) for _ in range(given.rounds)]
    print(f"read + divide + decide, {given.pools} pools, {2 * given.pools} queues: "
          f"{quantiles(ticks)}")  # fmt: skip


if __name__ == "__main__":
    main()
