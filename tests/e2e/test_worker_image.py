"""The worker's image does its work in a cluster: a task sent from outside runs in a pod."""

from pathlib import Path

import pytest

from windlass import Windlass
from windlass_cluster import paths
from windlass_cluster.commands import wait_until
from windlass_cluster.manifests import deployment, pod_spec, service
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import ImageBuild, Provider

pytestmark = pytest.mark.e2e

_SHOP = """
import os
from windlass import Windlass

app = Windlass("shop")

@app.task(name="shop.where")
def where(word: str) -> str:
    return f"{word} from {os.uname().nodename}"
"""
_KEYSPACE = "shop"


def _worker(image: str) -> dict[str, object]:
    """A worker's Deployment: the application in a ConfigMap, the broker in the environment."""
    spec = pod_spec(image)
    container = spec["containers"][0]
    container["args"] = ["-A", "shop", "worker", "-c", "1"]
    container["env"] = [
        {"name": "WINDLASS_BROKER_URL", "value": "redis://redis:6379/0"},
        {"name": "WINDLASS_RESULT_BACKEND", "value": "redis://redis:6379/0"},
        {"name": "WINDLASS_KEYSPACE", "value": _KEYSPACE},
    ]
    container["volumeMounts"].append({"name": "app", "mountPath": "/app"})
    spec["volumes"].append({"name": "app", "configMap": {"name": "shop"}})
    spec["terminationGracePeriodSeconds"] = 30
    return deployment("worker", spec)


def test_task_sent_from_outside_runs_in_a_pod_and_the_worker_ends_when_told(
    cluster_provider: Provider, namespace: Namespace
) -> None:
    if cluster_provider.name == "existing":
        pytest.skip("an existing cluster pulls its images; nothing is built for it here")
    tree, name = paths.TREE, "windlass.test/worker"
    file = Path(tree / "Dockerfile")
    image = cluster_provider.build(ImageBuild(name=name, context=tree, file=file, target="worker"))
    cluster_provider.load(image)
    redis_spec = pod_spec(cluster_provider.redis_image(), ready_port=6379)
    shop = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop"}}
    namespace.apply(
        deployment("redis", redis_spec),
        service("redis", 6379),
        shop | {"data": {"shop.py": _SHOP}},
        _worker(image),
    )
    namespace.rollout("deployment/redis")
    namespace.rollout("deployment/worker")
    (pod,) = namespace.pods("app=worker")
    node_name = pod["metadata"]["name"]

    with namespace.forwarded("deployment/redis", 6379) as port:
        url = f"redis://127.0.0.1:{port}/0"
        app = Windlass("client", broker=url, backend=url, keyspace=_KEYSPACE)
        answer = app.send_task("shop.where", args=["hello"]).get(timeout=60)
    assert answer == f"hello from {node_name}"

    # Well within its grace: process 1 heard SIGTERM and drained.
    namespace.kubectl("scale", "deployment/worker", "--replicas=0")
    wait_until(lambda: namespace.pods("app=worker") == [], "the worker to end", timeout_s=25)
