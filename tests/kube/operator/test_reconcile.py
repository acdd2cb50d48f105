"""What the operator writes: its children, each concern as its own manager, and nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from operator_process import Running, reason_of, running, settings
from redis_server import RedisServer
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

QUEUE = {"apiVersion": "windlass.dev/v1alpha1", "kind": "TaskQueue", "metadata": {"name": "work"}}


def pool(name: str = "work", **spec: Any) -> dict[str, Any]:
    fields = {"app": "job", "image": "example/job:1", "queues": [{"name": "work"}], **spec}
    if "autoscaling" not in fields:
        fields.setdefault("replicas", 2)
    return {**QUEUE, "kind": "WorkerPool", "metadata": {"name": name}, "spec": fields}


def managers_of(body: dict[str, Any], *path: str) -> set[str]:
    """Who owns a field of an object."""
    found = set()
    for entry in body["metadata"]["managedFields"]:
        owned = entry["fieldsV1"]
        for key in path:
            owned = owned.get(f"f:{key}")
            if owned is None:
                break
        else:
            found.add(entry["manager"])
    return found


async def _has_pods(operator: Running, namespace: str, count: int) -> dict[str, Any]:
    return await operator.wait_get(
        namespace, "deployment/work", lambda body: body["status"].get("replicas", 0) == count
    )


async def test_template_and_replicas_have_owners_of_their_own(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, QUEUE, pool(replicas=2))
        await _has_pods(operator, team.name, 2)
        await operator.kubectl("scale", "wp/work", "--replicas=3", f"--namespace={team.name}")
        scaled = await _has_pods(operator, team.name, 3)
        assert managers_of(scaled, "spec", "replicas") == {"windlass-autoscaler"}
        assert "windlass-autoscaler" not in managers_of(scaled, "spec", "template")

        await operator.apply(team.name, pool(replicas=3, image="example/job:2"))
        rolled = await operator.wait_get(
            team.name,
            "deployment/work",
            lambda body: body["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":2"),
        )
        status = (await operator.get(team.name, "wp/work"))["metadata"]["managedFields"]

    # Another template leaves the number alone.
    assert rolled["spec"]["replicas"] == 3
    assert managers_of(rolled, "spec", "replicas") == {"windlass-autoscaler"}
    assert {e["manager"] for e in status if e.get("subresource") == "status"} == {"windlass-status"}


async def test_nothing_is_written_when_nothing_changed(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    # Namespaces of other tests may be on their way out.
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, pool(replicas=1))
        await _has_pods(operator, team.name, 1)
        await operator.wait_condition(team.name, "wp/work", "Ready", "RollingOut")
        await operator.ticks(4)
        before = operator.writes()
        await operator.ticks(10)
        after = operator.writes()
        asked = operator.operator.kube.requests

    assert after == before
    assert before[("patch", "secrets")] == 1
    assert ("get", "secrets") not in asked


async def test_restarted_operator_scales_nothing_and_restarts_nobody(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    auto = {"minReplicas": 2, "maxReplicas": 5}
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, pool(autoscaling=auto))
        before = await _has_pods(operator, team.name, 2)
    async with running(windlass_api, wanted) as operator:
        await operator.ticks(4)
        after = await operator.get(team.name, "deployment/work")
        writes = operator.writes()

    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert ("patch", "deployments") not in writes


async def test_children_go_with_their_owner_and_come_back_when_deleted(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, QUEUE, pool(replicas=1))
        first = await _has_pods(operator, team.name, 1)
        await operator.kubectl("delete", "deployment/work", f"--namespace={team.name}")
        again = await operator.wait_get(
            team.name,
            "deployment/work",
            lambda body: body["metadata"]["uid"] != first["metadata"]["uid"],
        )
        assert again["metadata"]["ownerReferences"][0]["name"] == "work"

        await operator.kubectl("delete", "wp/work", f"--namespace={team.name}")
        for what in ("deployment/work", "serviceaccount/work-worker", "pdb/work"):
            await operator.kubectl(
                "wait", what, "--for=delete", "--timeout=60s", f"--namespace={team.name}"
            )


async def test_pool_whose_queue_is_missing_says_so_and_recovers(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, pool(replicas=1))
        body = await operator.wait_get(
            team.name, "wp/work", lambda body: reason_of(body, "Ready") == "NoUsableQueue"
        )
        assert "work" in str(body["status"]["conditions"])
        assert await operator.get(team.name, "deployment/work") == {}

        await operator.apply(team.name, QUEUE)
        await _has_pods(operator, team.name, 1)


async def test_watch_that_missed_a_deletion_is_corrected_by_the_next_listing(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, QUEUE, pool(replicas=1))
        gone = await _has_pods(operator, team.name, 1)
        store = operator.operator.store
        ghost = {**gone, "metadata": {**gone["metadata"], "name": "ghost"}}
        store.put("Deployment", ghost)
        assert store.get("Deployment", team.name, "ghost") is not None

        await operator.operator.resync.first()

        assert store.get("Deployment", team.name, "ghost") is None
        assert store.get("Deployment", team.name, "work") is not None


async def test_more_objects_than_are_worked_on_at_once_are_all_served(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    from windlass_operator.loop import _AT_ONCE

    count = 2 * _AT_ONCE + 1
    queues = [{**QUEUE, "metadata": {"name": f"work-{number}"}} for number in range(count)]
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, *queues)
        selected = ("wait", "tq", "--all", "--for=condition=Ready", "--timeout=60s")
        said = await operator.kubectl(*selected, f"--namespace={team.name}")

    assert said.count("condition met") == count


async def test_health_port_tells_of_the_first_listing(
    windlass_api: Access, home: Namespace, redis_server: RedisServer
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        port = operator.operator.health.port
        answers = {}
        for path in ("/livez", "/readyz", "/metrics"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answers[path] = (await reader.readline()).decode().split()[1]
            writer.close()

    assert answers == {"/livez": "200", "/readyz": "200", "/metrics": "200"}
