"""The operator in this process, against an API server without nodes, and what it asks for."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio import client, config

from windlass_cluster.access import Access
from windlass_operator.kube import Kube
from windlass_operator.main import Operator
from windlass_operator.settings import DefaultBrokerKind, OperatorSettings

#: Verbs of requests that change something.
_WRITES = ("create", "patch", "update", "delete")
SECRET_KEY = "only-for-tests-0123456789"


async def connect(kubeconfig: Path) -> Kube:
    """A client of the API server that a kubeconfig names."""
    configuration = client.Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(kubeconfig), client_configuration=configuration
    )
    return Kube(client.ApiClient(configuration))


@dataclass(slots=True)
class Running:
    """An operator that runs."""

    operator: Operator
    access: Access

    def writes(self) -> dict[tuple[str, str], int]:
        """Writing requests so far, by verb and resource, without those of the Lease."""
        return {
            key: count
            for key, count in self.operator.kube.requests.items()
            if key[0] in _WRITES and key[1] != "leases"
        }

    async def get(self, namespace: str, what: str) -> dict[str, Any]:
        """An object, {} if it is not there."""
        argv = (f"--namespace={namespace}", "get", what, "-o", "json", "--ignore-not-found")
        argv += ("--show-managed-fields",)
        text = await asyncio.to_thread(self.access.kubectl, *argv)
        return json.loads(text) if text else {}

    async def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl prints."""
        return await asyncio.to_thread(lambda: self.access.kubectl(*args, stdin=stdin))

    async def apply(self, namespace: str, *manifests: Mapping[str, Any]) -> None:
        """Apply objects as a person would."""
        args = [f"--namespace={namespace}"]
        await asyncio.to_thread(lambda: self.access.apply(*manifests, args=args))

    async def wait_get(
        self,
        namespace: str,
        what: str,
        is_it: Callable[[dict[str, Any]], bool],
        timeout_s: float = 30,
    ) -> dict[str, Any]:
        """Wait until an object is as wanted; returns it."""
        last: dict[str, Any] = {}
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            last = await self.get(namespace, what)
            if last and is_it(last):
                return last
            await asyncio.sleep(0.2)
        raise AssertionError(f"{what} did not become as wanted: {json.dumps(last, indent=1)}")

    async def wait_condition(
        self, namespace: str, what: str, kind: str, reason: str, timeout_s: float = 30
    ) -> dict[str, Any]:
        """Wait until a condition has a reason; returns it."""
        body = await self.wait_get(
            namespace, what, lambda body: reason_of(body, kind) == reason, timeout_s
        )
        return condition(body, kind)

    async def ticks(self, count: int, timeout_s: float = 30) -> None:
        """Wait until the loop has ticked so often, each within the time-out."""
        for _ in range(count):
            before = self.operator.loop.ticked_s
            async with asyncio.timeout(timeout_s):
                while self.operator.loop.ticked_s == before:
                    await asyncio.sleep(0.02)


def condition(body: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """A condition of an object, {} if it has none of that type."""
    found = (body.get("status") or {}).get("conditions", ())
    return next((dict(one) for one in found if one["type"] == kind), {})


def reason_of(body: Mapping[str, Any], kind: str) -> str:
    """The reason of a condition, '' if there is none."""
    return str(condition(body, kind).get("reason", ""))


def settings(namespace: str, redis_url: str, **changes: Any) -> OperatorSettings:
    """Settings with short times: Redis as the embedded broker, for all namespaces."""
    fields: dict[str, Any] = {
        "namespace": namespace,
        "default_broker_kind": DefaultBrokerKind.EMBEDDED,
        "default_broker_url": redis_url,
        "secret_key": SECRET_KEY,
        "tick_s": 0.5,
        "health_host": "127.0.0.1",
        "health_port": 0,
        **changes,
    }
    return OperatorSettings(**fields)


@asynccontextmanager
async def running(
    access: Access,
    wanted: OperatorSettings,
    kubeconfig: Path | None = None,
    *,
    first_tick_s: float = 30,
) -> AsyncIterator[Running]:
    """Run the operator until the block ends; its first tick is over when the block begins.

    Args:
        access: A way into the API server for the test itself.
        wanted: The operator's settings.
        kubeconfig: The operator's own way in, by default the test's.
        first_tick_s: How long the first tick may take.
    """
    mine = kubeconfig or access.kubeconfig
    before = os.environ.get("KUBECONFIG")
    os.environ["KUBECONFIG"] = str(mine)  # where kopf looks
    operator = Operator(wanted, await connect(mine))
    task = asyncio.create_task(operator.run())
    made = Running(operator, access)
    try:
        started = asyncio.create_task(made.ticks(1, first_tick_s))
        done, _ = await asyncio.wait({started, task}, return_when=asyncio.FIRST_COMPLETED)
        for one in done:
            one.result()
        assert started in done, "the operator ended by itself"
        yield made
    finally:
        operator.stop()
        await asyncio.wait_for(task, 40)
        if before is None:
            del os.environ["KUBECONFIG"]
        else:
            os.environ["KUBECONFIG"] = before
