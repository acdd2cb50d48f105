"""What the chart grants is what the operator uses: with less it would not work, more it has not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from operator_process import Running, reason_of, running, settings
from redis_server import RedisServer
from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator.handlers.watches import WATCHED
from windlass_operator.models.resource import Identity
from windlass_operator.plan import EmitEvent
from windlass_operator.settings import DefaultBrokerKind

pytestmark = pytest.mark.kube

CHART = paths.TREE / "charts" / "windlass"
ACCOUNT = "windlass"
API = "windlass.dev/v1alpha1"
#: Asked by the API server of an apply that makes an object, and of a child that blocks its owner.
_IMPLIED = {
    *(("create", kind) for kind in (
        "deployments", "secrets", "serviceaccounts", "poddisruptionbudgets",
    )),
    ("update", "taskqueues/finalizers"),
    ("update", "workerpools/finalizers"),
}  # fmt: skip


def rendered(access: Access, namespace: str, *arguments: str) -> list[dict[str, Any]]:
    argv = ["template", "windlass", str(CHART), f"--namespace={namespace}",
            "--show-only=templates/rbac.yaml", *arguments]  # fmt: skip
    return [one for one in yaml.safe_load_all(access.helm(*argv)) if one]


def rules_of(objects: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """(verb, resource) that the operator's own roles grant."""
    bindings = [one for one in objects if one["kind"].endswith("Binding")]
    names = {(one["roleRef"]["kind"], one["roleRef"]["name"]) for one in bindings}
    return {
        (verb, resource)
        for one in objects
        if (one["kind"], one["metadata"]["name"]) in names
        for rule in one["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def act_as_operator(access: Access, home: Namespace, folder: Path) -> Path:
    """Write a kubeconfig of the operator's service account."""
    token = home.kubectl("create", "token", ACCOUNT, "--duration=1h").strip()
    body = json.loads(access.kubectl("config", "view", "--raw", "-o", "json"))
    body["users"] = [{"name": "operator", "user": {"token": token}}]
    for context in body["contexts"]:
        context["context"]["user"] = "operator"
    file = folder / "kubeconfig"
    file.write_text(json.dumps(body))
    return file


def _pool(**spec: Any) -> dict[str, Any]:
    fields = {"app": "job", "image": "example/job:1", "queues": [{"name": "work"}], **spec}
    return {"apiVersion": API, "kind": "WorkerPool", "metadata": {"name": "work"}, "spec": fields}


async def _use_everything(operator: Running, namespace: str, redis_url: str) -> None:
    """One tour through all that the operator ever does."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "mine", "labels": {"windlass.dev/broker": "allow"}},
        "stringData": {"url": redis_url},
    }
    broker = {"secretKeyRef": {"name": "mine", "key": "url"}}
    queue = {"apiVersion": API, "kind": "TaskQueue", "metadata": {"name": "work"},
             "spec": {"broker": broker, "deletionPolicy": "Purge"}}  # fmt: skip
    drain = {"strategy": "Drain"}
    await operator.apply(namespace, secret, queue, _pool(replicas=2, rollout=drain))
    await operator.wait_get(
        namespace, "wp/work", lambda body: body.get("status", {}).get("replicas") == 2
    )
    # A Deployment that lost its label is looked up and taken in again.
    body = await operator.get(namespace, "wp/work")
    deployment = f"deployment/work-{body['status']['templateHash']}"
    await operator.kubectl("label", deployment, "windlass.dev/pool-", f"--namespace={namespace}")
    await operator.wait_get(
        namespace, deployment, lambda body: "windlass.dev/pool" in body["metadata"]["labels"]
    )
    # Down by the protocol: it marks its victims.
    await operator.apply(namespace, _pool(replicas=0, rollout=drain))
    await operator.wait_get(
        namespace, "wp/work", lambda body: body["status"].get("replicas", 0) == 0, 60
    )
    # Another version: the old one, at zero, is removed.
    before = (await operator.get(namespace, "wp/work"))["status"]["templateHash"]
    await operator.apply(namespace, _pool(replicas=0, rollout=drain, image="example/job:2"))
    await operator.wait_get(
        namespace, "wp/work", lambda body: body["status"]["templateHash"] != before
    )
    await operator.kubectl("wait", f"deployment/work-{before}", "--for=delete",
                           "--timeout=30s", f"--namespace={namespace}")  # fmt: skip
    spec = {"every": "1d", "task": "job.report", "queueRef": {"name": "work"}}
    beat = {"apiVersion": API, "kind": "BeatSchedule", "metadata": {"name": "nightly"},
            "spec": spec}  # fmt: skip
    await operator.apply(namespace, beat)
    await operator.wait_get(
        namespace, "bs/nightly", lambda body: reason_of(body, "Ready") == "AsExpected"
    )
    await operator.kubectl("delete", "bs/nightly", "wp/work", "tq/work", f"--namespace={namespace}",
                           "--timeout=60s")  # fmt: skip


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
async def test_granted_is_used_and_used_is_granted(
    windlass_api: Access,
    home: Namespace,
    team: Namespace,
    tmp_path: Path,
    redis_server: RedisServer,
    scope: str,
) -> None:
    is_cluster = scope == "cluster"
    arguments = [] if is_cluster else [f"--set=watchNamespaces={{{team.name}}}"]
    objects = rendered(windlass_api, home.name, *arguments)
    everything = {"apiVersion": "v1", "kind": "List", "items": objects}
    windlass_api.kubectl("apply", "-f", "-", stdin=json.dumps(everything))
    kubeconfig = act_as_operator(windlass_api, home, tmp_path)
    wanted = settings(
        home.name,
        redis_server.url,
        default_broker_kind=DefaultBrokerKind.EXTERNAL,
        offered_labels={"team": "any"} if is_cluster else {},
        watch_namespaces=() if is_cluster else (team.name,),
        lease_name="windlass",
    )
    try:
        async with running(windlass_api, wanted, kubeconfig) as operator:
            # Cluster-wide, its namespace's labels are asked for too.
            await operator.apply(team.name, {
                "apiVersion": API, "kind": "TaskQueue", "metadata": {"name": "default"},
            })  # fmt: skip
            await operator.wait_get(
                team.name, "tq/default", lambda body: reason_of(body, "Ready") == "BrokerNotOffered"
            )
            await _use_everything(operator, team.name, redis_server.url)
            # The same news twice: the event is counted up.
            recorder = operator.operator.applier._recorder
            about = Identity(kind="TaskQueue", namespace=team.name, name="work", uid="u")
            for _ in range(2):
                await recorder.emit(about, EmitEvent(reason="Purged", message="twice"))
            used = set(operator.operator.kube.requests)
    finally:
        for one in objects:
            if one["kind"].startswith("Cluster"):
                windlass_api.kubectl("delete", one["kind"], one["metadata"]["name"])

    used |= {(verb, plural) for _, _, plural, *_ in WATCHED for verb in ("list", "watch")}
    granted = rules_of(objects)
    assert used - granted == set()
    assert granted - used - _IMPLIED == set()


@pytest.mark.parametrize("scope", ["cluster", "namespaced"])
def test_no_wildcards_and_secrets_are_never_listed(windlass_api: Access, scope: str) -> None:
    arguments = [] if scope == "cluster" else ["--set=watchNamespaces={one,two}"]
    objects = rendered(windlass_api, "home", *arguments)
    granted = rules_of(objects)

    assert "*" not in json.dumps(objects)
    assert {verb for verb, resource in granted if resource == "secrets"} == {
        "get", "create", "patch",
    }  # fmt: skip
    kinds = {one["kind"] for one in objects}
    assert ("ClusterRole" in kinds) == (scope == "cluster")
