"""What is changed by hand on the operator's children is set back, once for each change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from operator_process import Running, running, settings
from redis_server import RedisServer
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

#: Words that the API server writes otherwise than we do, and lists of every kind.
POD_TEMPLATE = {
    "metadata": {"labels": {"team": "shop"}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        "dnsConfig": {"searches": [], "nameservers": ["10.0.0.2"]},
        "imagePullSecrets": [{"name": "pull"}],
        "volumes": [{"name": "big", "emptyDir": {"sizeLimit": "1024Mi"}}],
        "initContainers": [{"name": "first", "image": "busybox", "args": ["a"], "env": []}],
        "containers": [
            {
                "name": "worker",
                "resources": {"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": 2}},
                "env": [{"name": "A", "value": "1"}],
                "envFrom": [{"secretRef": {"name": "s", "optional": True}}],
                "ports": [{"containerPort": 9090}],
                "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}},
            },
            {"name": "side", "image": "busybox", "livenessProbe": {"exec": {"command": ["true"]}}},
        ],
    },
}


def objects() -> list[dict[str, Any]]:
    queue = {"apiVersion": "windlass.dev/v1alpha1", "kind": "TaskQueue",
             "metadata": {"name": "work"}}  # fmt: skip
    spec = {
        "app": "job",
        "image": "example/job:1",
        "queues": [{"name": "work"}],
        "replicas": 1,
        "podTemplate": POD_TEMPLATE,
    }
    return [queue, {**queue, "kind": "WorkerPool", "spec": spec}]


async def edit(operator: Running, namespace: str, what: str, patch: list[dict[str, Any]]) -> None:
    await operator.kubectl(
        "patch", what, "--type=json", f"--patch={json.dumps(patch)}", f"--namespace={namespace}"
    )


async def is_settled(operator: Running, namespace: str) -> dict[str, Any]:
    body = await operator.wait_get(
        namespace, "deployment/work", lambda body: body["status"].get("replicas", 0) == 1
    )
    await operator.wait_get(namespace, "pdb/work", lambda body: bool(body))
    await operator.ticks(3)
    return body


async def test_edited_children_are_set_back_and_what_others_add_is_left(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    template = "/spec/template/spec"
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, *objects())
        first = await is_settled(operator, team.name)
        names = [c["name"] for c in first["spec"]["template"]["spec"]["containers"]]
        at = f"{template}/containers/{names.index('worker')}"
        await edit(operator, team.name, "deployment/work", [
            {"op": "replace", "path": f"{at}/image", "value": "evil"},
            {"op": "replace", "path": f"{at}/args", "value": ["sleep"]},
            {"op": "remove", "path": f"{at}/livenessProbe"},
            {"op": "replace", "path": f"{template}/nodeSelector", "value": {"disk": "slow"}},
            {"op": "add", "path": "/metadata/annotations/note", "value": "by hand"},
        ])  # fmt: skip
        await edit(operator, team.name, "pdb/work",
                   [{"op": "replace", "path": "/spec/maxUnavailable", "value": 7}])  # fmt: skip
        await edit(operator, team.name, "serviceaccount/work-worker",
                   [{"op": "replace", "path": "/automountServiceAccountToken", "value": True}],
                   )  # fmt: skip
        back = await operator.wait_get(
            team.name,
            "deployment/work",
            lambda body: body["spec"]["template"] == first["spec"]["template"],
        )
        await operator.wait_get(
            team.name, "pdb/work", lambda body: body["spec"]["maxUnavailable"] == "10%"
        )
        await operator.wait_get(
            team.name,
            "serviceaccount/work-worker",
            lambda body: body["automountServiceAccountToken"] is False,
        )
        await operator.ticks(3)
        before = operator.writes()
        await operator.ticks(6)
        after = operator.writes()
        events = await operator.kubectl(
            "get", "events", "--output=json", f"--namespace={team.name}"
        )

    assert back["metadata"]["annotations"]["note"] == "by hand"
    assert after == before
    said = [e for e in json.loads(events)["items"] if e["reason"] == "ChildCorrected"]
    assert {e["message"].split()[0] for e in said} == {
        "Deployment", "PodDisruptionBudget", "ServiceAccount",
    }  # fmt: skip


async def test_what_the_server_writes_otherwise_is_no_edit_not_even_for_a_restarted_operator(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, *objects())
        before = await is_settled(operator, team.name)
    async with running(windlass_api, wanted) as operator:
        await operator.ticks(4)
        writes = operator.writes()
        after = await operator.get(team.name, "deployment/work")

    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    kinds = {kind for verb, kind in writes if verb == "patch"}
    assert not kinds & {"deployments", "serviceaccounts", "poddisruptionbudgets"}
