"""What the operator's benchmark shares: the objects, an API server, and who spent its processor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from operator_process import connect
from windlass_cluster.access import Access
from windlass_cluster.native.api_level import ApiLevel

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = 20
API = "windlass.dev/v1alpha1"
_AT_ONCE = 50


def objects(pools: int, queues: int) -> list[dict[str, Any]]:
    """Queues spread over namespaces, and pools that serve two queues each."""
    made = []
    for number in range(queues):
        metadata = {"name": f"q{number}", "namespace": f"bench-{number % NAMESPACES}"}
        made.append({"apiVersion": API, "kind": "TaskQueue", "metadata": metadata, "spec": {}})
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
        made.append({"apiVersion": API, "kind": "WorkerPool", "metadata": metadata, "spec": spec})
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


@contextmanager
def api_server(name: str, pools: int, queues: int) -> Iterator[Access]:
    """A fresh API server with the objects in it."""
    level = ApiLevel(name)
    try:
        access = level.up(owner_pid=os.getpid())
        for file in sorted((ROOT / "crds").glob("*.yaml")):
            access.kubectl("apply", "--server-side", "-f", str(file))
            access.kubectl("wait", f"crd/{file.stem}.windlass.dev", "--for=condition=Established")
        for number in range(NAMESPACES):
            access.kubectl("create", "namespace", f"bench-{number}")
        asyncio.run(fill(access, objects(pools, queues)))
        yield access
    finally:
        level.down()


class Spent:
    """Seconds of the processor since it was made: of this process and of the API server's."""

    def __init__(self, name: str) -> None:
        supervisor = psutil.Process(ApiLevel(name).supervisor.outer_pid())
        self._processes = {"operator": psutil.Process()}
        for one in supervisor.children(recursive=True):
            self._processes[one.name()] = one
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        times = {name: one.cpu_times() for name, one in self._processes.items()}
        return {name: one.user + one.system for name, one in times.items()}

    def so_far(self) -> Mapping[str, float]:
        """By the name of the program."""
        now = self._now()
        return {name: now[name] - before for name, before in self._before.items()}


def said(spent: Mapping[str, float]) -> str:
    """In one line."""
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(spent.items()))
