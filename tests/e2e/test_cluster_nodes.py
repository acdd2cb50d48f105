"""A node can be taken away: its pods move to another."""

import pytest

from windlass_cluster.access import Access
from windlass_cluster.draining import drained
from windlass_cluster.manifests import web
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e


def test_node_drain_moves_a_pod(
    cluster: Access, cluster_provider: Provider, namespace: Namespace
) -> None:
    if len(cluster.get("nodes")["items"]) < 2:
        pytest.skip("this cluster has one node")
    # Unique, so that no other test's pods are asked to leave.
    name = f"web-{namespace.name[-6:]}"
    namespace.apply(*web(name, cluster_provider.python_image()))
    namespace.rollout(f"deployment/{name}")
    (before,) = namespace.pods(f"app={name}")
    node = before["spec"]["nodeName"]

    with drained(cluster, node, selector=f"app={name}", namespace=namespace.name):
        namespace.wait(f"pod/{before['metadata']['name']}", until="delete", timeout_s=60)
        namespace.rollout(f"deployment/{name}")
        (after,) = namespace.pods(f"app={name}")
        assert cluster.get(f"node/{node}")["spec"]["unschedulable"] is True

    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["nodeName"] != node
