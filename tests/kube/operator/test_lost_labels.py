"""A Deployment whose labels somebody removed is nobody's for a moment; its workers go on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operator_process import running, settings
from redis_server import RedisServer
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

_API = "windlass.dev/v1alpha1"
_LABEL = "windlass.dev/pool"


def _pool(**spec: Any) -> dict[str, Any]:
    fields = {"app": "job", "image": "example/job:1", "queues": [{"name": "work"}], **spec}
    return {"apiVersion": _API, "kind": "WorkerPool", "metadata": {"name": "work"}, "spec": fields}


@pytest.mark.parametrize("restarts", [False, True], ids=["it runs on", "a new operator comes"])
async def test_a_deployment_that_lost_its_labels_is_taken_in_with_its_replicas(
    windlass_api: Access,
    home: Namespace,
    team: Namespace,
    redis_server: RedisServer,
    *,
    restarts: bool,
) -> None:
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    queue = {"apiVersion": _API, "kind": "TaskQueue", "metadata": {"name": "work"}}
    # Two windows of five minutes: whoever starts from zero stays there for the time of this test.
    pool = _pool(autoscaling={"minReplicas": 0, "maxReplicas": 9})
    lost = f"{_LABEL}-"
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, queue, {**pool, "spec": {**pool["spec"]}})
        await operator.wait_get(
            team.name, "wp/work", lambda body: bool(body.get("status", {}).get("templateHash"))
        )
        # As if there was work: three workers, by the hand of the autoscaler.
        scale = {"apiVersion": "apps/v1", "kind": "Deployment",
                 "metadata": {"name": "work"}, "spec": {"replicas": 3}}  # fmt: skip
        await operator.kubectl(
            "apply", "--server-side", "--force-conflicts", "--field-manager=windlass-autoscaler",
            f"--namespace={team.name}", "-f", "-", stdin=json.dumps(scale),
        )  # fmt: skip
        await operator.wait_get(
            team.name, "deployment/work", lambda body: body["status"].get("replicas") == 3
        )
        await operator.ticks(2)
        if not restarts:
            await operator.kubectl("label", "deployment/work", lost, f"--namespace={team.name}")
            await _is_taken_in(operator, team.name)
    if restarts:
        team.kubectl("label", "deployment/work", lost)
        async with running(windlass_api, wanted) as operator:
            await _is_taken_in(operator, team.name)


async def _is_taken_in(operator: Any, namespace: str) -> None:
    await operator.wait_get(
        namespace, "deployment/work", lambda body: _LABEL in body["metadata"].get("labels", {})
    )
    await operator.ticks(3)
    body = await operator.get(namespace, "deployment/work")
    assert body["spec"]["replicas"] == 3
    # Not once on the way either: nobody else's generation, and no pod was taken away.
    assert body["status"]["replicas"] == 3
    events = json.loads(
        await operator.kubectl("get", "events", "--output=json", f"--namespace={namespace}")
    )["items"]
    assert [e for e in events if "Scaled down" in e["message"]] == []
