"""With metrics-server (`make cluster-up METRICS=1`) pods are measured, as an autoscaler needs."""

import pytest

from windlass_cluster.access import Access
from windlass_cluster.commands import wait_until
from windlass_cluster.manifests import deployment, pod_spec
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e

_API = "v1beta1.metrics.k8s.io"


@pytest.fixture
def _metrics(cluster: Access) -> None:
    if not cluster.kubectl("get", "apiservice", _API, "--ignore-not-found"):
        pytest.skip("this cluster has no metrics-server; to have it: make cluster-up METRICS=1")


@pytest.mark.usefixtures("_metrics")
def test_horizontal_autoscaler_sees_the_load_of_pods(
    namespace: Namespace, cluster_provider: Provider
) -> None:
    busy = ["python3", "-c", "while True: pass"]
    spec = pod_spec(cluster_provider.python_image(), busy)
    spec["containers"][0]["resources"] = {"requests": {"cpu": "50m"}, "limits": {"cpu": "200m"}}
    namespace.apply(deployment("busy", spec))
    namespace.rollout("deployment/busy")

    namespace.kubectl("autoscale", "deployment/busy", "--cpu=50%", "--min=1", "--max=2")

    def has_scaled() -> bool:
        return bool(namespace.get("deployment", "busy")["spec"]["replicas"] == 2)

    wait_until(has_scaled, "the autoscaler to add a pod", timeout_s=180)
