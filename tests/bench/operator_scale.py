"""How the operator bears many objects: a real API server without nodes, a real Redis.

`make bench-operator ARGS='[POOLS QUEUES] [--no-floor]'` (1,000 and 2,000). First the floor, by
`operator_floor`, on an API server of its own; then the operator in a process of its own: from cold
until all is written and until all is ready, time of a tick, requests when nothing changes, memory,
and from a task sent to an idle pool until its Deployment is patched. What the operator and the API
server take of the processor is told apart, since both are on this machine. Gates nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from typing import Any

import psutil
from operator_floor import floor
from operator_world import NAMESPACES, Spent, api_server, said
from prometheus_client import Histogram

from operator_process import running, settings
from redis_server import RedisServer
from windlass import Windlass
from windlass.embedded_redis import find_server
from windlass_cluster.access import Access
from windlass_cluster.native.api_level import ApiLevel
from windlass_operator.kube import Kube
from windlass_operator.observe import read_objects

IDLE_S = 30.0
_LEVEL, _FLOOR = "bench", "bench-floor"


async def measure(access: Access, redis_url: str, count: int) -> None:
    """Run the operator here and print what it takes."""
    spent, started_s = Spent(_LEVEL), time.monotonic()
    wanted = settings("bench-0", redis_url, tick_s=5.0)
    async with running(access, wanted, first_tick_s=600) as run:
        store, kube = run.operator.store, run.operator.kube
        written_s = 0.0
        while True:
            world = read_objects(store)
            statuses = [one.status for one in (*world.queues.values(), *world.pools.values())]
            if not written_s and sum("conditions" in one for one in statuses) == count:
                written_s = time.monotonic() - started_s
                print(f"cold to all {count:,} written     {written_s:8.1f} s  "
                      f"({said(spent.so_far())})", flush=True)  # fmt: skip
            if sum(is_ready(one) for one in statuses) == count:
                break
            await asyncio.sleep(0.5)
        print(f"cold to all {count:,} ready       {time.monotonic() - started_s:8.1f} s  "
              f"({said(spent.so_far())})")  # fmt: skip
        print(f"requests for that              {sum(kube.requests.values()):8,}  "
              f"{({f'{v} {w}': n for (v, w), n in sorted(kube.requests.items())})}")  # fmt: skip
        await run.ticks(2, 600)
        await idle(run.operator, kube)
        rss = psutil.Process().memory_info().rss / 2**20
        print(f"resident memory                {rss:8.0f} MiB", flush=True)
        await burst(run.operator, redis_url)
        rss = psutil.Process().memory_info().rss / 2**20
        print(f"resident memory, at the end    {rss:8.0f} MiB")


def is_ready(status: Any) -> bool:
    """Whether its first condition, which is Ready, is true."""
    return bool(status.get("conditions")) and status["conditions"][0]["status"] == "True"


async def idle(operator: Any, kube: Kube) -> None:
    """Requests and ticks while nothing changes."""
    metrics = operator.metrics
    before, ticks, reads = dict(kube.requests), total(metrics.ticks), total(metrics.broker_reads)
    cpu_s = time.process_time()
    await asyncio.sleep(IDLE_S)
    after, read = total(metrics.ticks), total(metrics.broker_reads)
    asked = {k: n - before.get(k, 0) for k, n in kube.requests.items() if n > before.get(k, 0)}
    leases = sum(n for (_, what), n in asked.items() if what == "leases")
    others = sum(asked.values()) - leases
    spent_s, count = time.process_time() - cpu_s, after[0] - ticks[0]
    tick_ms = (after[1] - ticks[1]) / count * 1e3
    print(f"tick, mean                     {tick_ms:8.0f} ms  "
          f"({spent_s / count * 1e3:.0f} ms of the processor a tick, all in)")  # fmt: skip
    read_ms = (read[1] - reads[1]) / (read[0] - reads[0]) * 1e3
    print(f"of which reading the broker    {read_ms:8.0f} ms")
    print(f"CPU of this process            {spent_s / IDLE_S * 100:8.1f} %")
    print(f"requests of the lease          {leases / IDLE_S:8.2f} /s")
    print(f"other requests                 {others / IDLE_S:8.2f} /s  {asked}")


def total(histogram: Histogram) -> tuple[float, float]:
    """How often it was observed, and the sum, seconds."""
    [family] = histogram.collect()
    samples = {sample.name: sample.value for sample in family.samples}
    return samples[f"{family.name}_count"], samples[f"{family.name}_sum"]


async def burst(operator: Any, redis_url: str) -> None:
    """From the first task of a pool at zero until its Deployment asks for a worker."""
    app = Windlass("bench", broker=redis_url, keyspace="bench-0", set_as_current=False)
    took = []
    for number in range(0, 5 * NAMESPACES, NAMESPACES):
        began_s = time.monotonic()
        await asyncio.to_thread(lambda n=number: app.send_task("x", queue=f"q{n}"))
        while not operator.store.get("Deployment", "bench-0", f"p{number}")["spec"]["replicas"]:
            await asyncio.sleep(0.01)
        took.append(time.monotonic() - began_s)
        await asyncio.sleep(6)
    app.close()
    print(f"0 -> 1 decided and patched     {', '.join(f'{one:.2f}' for one in took)} s")


def main() -> None:
    """The floor, then the operator, each in a fresh process with a fresh API server."""
    counts = [one for one in sys.argv[1:] if one != "--no-floor"]
    pools, queues = (int(one) for one in (counts or ("1000", "2000")))
    part, redis_url = (os.environ.get(f"WINDLASS_BENCH_{n}", "") for n in ("PART", "REDIS"))
    if part:
        access = ApiLevel(part).access()
        job = floor(access, part, redis_url) if part == _FLOOR else measure(
            access, redis_url, pools + queues
        )  # fmt: skip
        asyncio.run(job)
        return
    redis = RedisServer(find_server()).start()
    try:
        for name in (_LEVEL,) if "--no-floor" in sys.argv else (_FLOOR, _LEVEL):
            with api_server(name, pools, queues):
                env = {**os.environ, "WINDLASS_BENCH_PART": name, "WINDLASS_BENCH_REDIS": redis.url}
                argv = [sys.executable, __file__, str(pools), str(queues)]
                subprocess.run(argv, env=env, check=True)
        print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()}))
    finally:
        redis.stop()


if __name__ == "__main__":
    main()
