"""How the operator bears many objects: a real API server without nodes, a real Redis.

`make bench-operator ARGS='[POOLS] [QUEUES]'` (default 1,000 and 2,000) makes the objects,
starts the operator in a process of its own, and prints: cold start until every object has a status,
time of a tick, requests when nothing changes, memory, and from a task sent to an idle pool until
its Deployment is patched. Measures and reports; gates nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from operator_process import connect, running, settings
from redis_server import RedisServer
from windlass import Windlass
from windlass.embedded_redis import find_server
from windlass_cluster.access import Access
from windlass_cluster.native.api_level import ApiLevel
from windlass_operator.kube import Kube

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = 20
IDLE_S = 30.0
_AT_ONCE = 50
_API = "windlass.dev/v1alpha1"


def objects(pools: int, queues: int) -> list[dict[str, Any]]:
    """Queues spread over namespaces, and pools that serve two queues each."""
    made = []
    for number in range(queues):
        metadata = {"name": f"q{number}", "namespace": f"bench-{number % NAMESPACES}"}
        made.append({"apiVersion": _API, "kind": "TaskQueue", "metadata": metadata, "spec": {}})
    for number in range(pools):
        # The two queues of a pool are of its namespace.
        names = [f"q{n % queues}" for n in (number, number + pools // NAMESPACES * NAMESPACES)]
        spec = {
            "app": "bench",
            "image": "example/bench:1",
            "queues": [{"name": name} for name in dict.fromkeys(names)],
            "autoscaling": {"minReplicas": 0, "maxReplicas": 10},
        }
        metadata = {"name": f"p{number}", "namespace": f"bench-{number % NAMESPACES}"}
        made.append({"apiVersion": _API, "kind": "WorkerPool", "metadata": metadata, "spec": spec})
    return made


async def fill(access: Access, wanted: list[dict[str, Any]]) -> None:
    """Make the objects, many at once."""
    kube = await connect(access.kubeconfig)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def make(one: dict[str, Any]) -> None:
        async with slots:
            await kube.apply(one, "bench")

    await asyncio.gather(*(make(one) for one in wanted))
    await kube.close()


def prepare(access: Access) -> None:
    """Our kinds and the namespaces."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        access.kubectl("apply", "--server-side", "-f", str(file))
        access.kubectl("wait", f"crd/{file.stem}.windlass.dev", "--for=condition=Established")
    for number in range(NAMESPACES):
        access.kubectl("create", "namespace", f"bench-{number}")


async def measure(access: Access, redis_url: str, count: int) -> None:
    """Run the operator here and print what it takes."""
    started_s = time.monotonic()
    wanted = settings("bench-0", redis_url, tick_s=5.0)
    async with running(access, wanted, first_tick_s=600) as run:
        store, kube = run.operator.store, run.operator.kube
        while True:
            bodies = [*store.all("TaskQueue"), *store.all("WorkerPool")]
            settled = [b for b in bodies if (b.get("status") or {}).get("conditions")]
            ready = [b for b in settled if b["status"]["conditions"][0]["status"] == "True"]
            if len(ready) == count:
                break
            await asyncio.sleep(0.2)
        print(f"cold to all {count:,} ready       {time.monotonic() - started_s:8.1f} s")
        print(f"requests for that              {sum(kube.requests.values()):8,}")
        await run.ticks(2, 600)
        await idle(run.operator, kube)
        await burst(run.operator, redis_url)
        print(
            f"resident memory                {psutil.Process().memory_info().rss / 2**20:8.0f} MiB"
        )


async def idle(operator: Any, kube: Kube) -> None:
    """Requests and ticks while nothing changes."""
    before, ticks = dict(kube.requests), histogram(operator)
    cpu_s = time.process_time()
    await asyncio.sleep(IDLE_S)
    after = histogram(operator)
    asked = {k: n - before.get(k, 0) for k, n in kube.requests.items() if n > before.get(k, 0)}
    leases = sum(n for (_, what), n in asked.items() if what == "leases")
    others = sum(asked.values()) - leases
    tick_ms = (after[1] - ticks[1]) / (after[0] - ticks[0]) * 1e3
    print(f"tick, mean                     {tick_ms:8.0f} ms")
    print(f"CPU of this process            {(time.process_time() - cpu_s) / IDLE_S * 100:8.0f} %")
    print(f"requests of the lease          {leases / IDLE_S:8.2f} /s")
    print(f"other requests                 {others / IDLE_S:8.2f} /s  {asked}")


def histogram(operator: Any) -> tuple[float, float]:
    """How many ticks, and their seconds in all."""
    samples = {s.name: s.value for m in operator.metrics.ticks.collect() for s in m.samples}
    name = "windlass_operator_tick_seconds"
    return samples[f"{name}_count"], samples[f"{name}_sum"]


async def burst(operator: Any, redis_url: str) -> None:
    """From the first task of a pool at zero until its Deployment asks for a worker."""
    app = Windlass("bench", broker=redis_url, keyspace="bench-0", set_as_current=False)
    took = []
    for number in (0, NAMESPACES, 2 * NAMESPACES):
        began_s = time.monotonic()
        await asyncio.to_thread(lambda n=number: app.send_task("x", queue=f"q{n}"))
        while not operator.store.get("Deployment", "bench-0", f"p{number}")["spec"]["replicas"]:
            await asyncio.sleep(0.01)
        took.append(time.monotonic() - began_s)
        await asyncio.sleep(6)
    app.close()
    print(f"0 -> 1 decided and patched     {', '.join(f'{one:.2f}' for one in took)} s")


def main() -> None:
    """Make the objects, then measure in a fresh process."""
    pools, queues = (int(one) for one in (sys.argv[1:3] or ("1000", "2000")))
    if os.environ.get("WINDLASS_BENCH_REDIS"):
        access = ApiLevel("bench").access()
        asyncio.run(measure(access, os.environ["WINDLASS_BENCH_REDIS"], pools + queues))
        return
    level, redis = ApiLevel("bench"), RedisServer(find_server()).start()
    try:
        access = level.up(owner_pid=os.getpid())
        prepare(access)
        began_s = time.monotonic()
        asyncio.run(fill(access, objects(pools, queues)))
        print(f"objects made in                {time.monotonic() - began_s:8.1f} s", flush=True)
        env = {**os.environ, "WINDLASS_BENCH_REDIS": redis.url}
        subprocess.run([sys.executable, __file__, str(pools), str(queues)], env=env, check=True)
        print(json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg()}))
    finally:
        level.down()
        redis.stop()


if __name__ == "__main__":
    main()
