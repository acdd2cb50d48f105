"""The chart's NetworkPolicies: taken by the API server, and read for who may reach whom.

No network here enforces policies: what is proven is what they say, by the rules of the API, not
that a network plugin does it.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from network_policies import Peer, is_allowed
from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

_CHART = paths.TREE / "charts" / "windlass"
_HOME = "home"


def rendered(access: Access, namespace: str, *settings: str) -> list[dict[str, Any]]:
    text = access.helm("template", "windlass", str(_CHART), "--no-hooks",
                       f"--namespace={namespace}", "--set=networkPolicy.enabled=true",
                       *(f"--set={one}" for one in settings))  # fmt: skip
    return [one for one in yaml.safe_load_all(text) if one]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in objects if one["kind"] == kind]


def pod_of(objects: list[dict[str, Any]], kind: str) -> Peer:
    """The pod that a Deployment or StatefulSet of the chart makes."""
    (owner,) = of_kind(objects, kind)
    return Peer(_HOME, owner["spec"]["template"]["metadata"]["labels"])


@pytest.fixture(scope="module")
def chart(kube_api: Access) -> list[dict[str, Any]]:
    return rendered(kube_api, _HOME)


def test_api_server_takes_them_as_they_are_written(
    kube_api: Access, kube_namespace: Namespace
) -> None:
    policies = of_kind(rendered(kube_api, kube_namespace.name), "NetworkPolicy")
    kube_namespace.kubectl("apply", "--validate=strict", "-f", "-",
                           stdin=yaml.safe_dump_all(policies))  # fmt: skip
    kept = kube_namespace.get("networkpolicies")["items"]

    by_name = {one["metadata"]["name"]: one["spec"] for one in kept}
    assert set(by_name) == {"windlass", "windlass-redis"}
    for one in policies:
        spec = by_name[one["metadata"]["name"]]
        assert spec["podSelector"] == one["spec"]["podSelector"]
        assert spec["policyTypes"] == one["spec"]["policyTypes"]


#: Who, to whom, at which port: may they?
_PAIRS = [
    ("operator", "api server", 443, "TCP", True),
    ("operator", "api server", 6443, "TCP", True),
    ("operator", "dns", 53, "UDP", True),
    ("operator", "dns", 53, "TCP", True),
    ("operator", "redis", 6379, "TCP", True),
    ("operator", "other broker", 6380, "TCP", True),
    ("operator", "web site", 80, "TCP", False),
    ("operator", "redis", 22, "TCP", False),
    ("operator", "worker", 8080, "TCP", False),
    ("prometheus", "operator", 8081, "TCP", True),
    ("kubelet", "operator", 8081, "TCP", True),
    ("worker", "operator", 8080, "TCP", False),
    ("worker", "redis", 6379, "TCP", True),
    ("application", "redis", 6379, "TCP", True),
    ("application", "redis", 6380, "TCP", False),
    ("application", "redis", 6379, "UDP", False),
    ("redis", "web site", 443, "TCP", False),
    ("redis", "dns", 53, "UDP", False),
    ("redis", "operator", 8081, "TCP", False),
    ("redis", "redis", 6379, "TCP", False),
    # Others are none of our business.
    ("worker", "web site", 443, "TCP", True),
    ("application", "worker", 8080, "TCP", True),
    ("neighbour", "application", 80, "TCP", True),
]


@pytest.mark.parametrize(("source", "target", "port", "protocol", "expected"), _PAIRS)
def test_who_may_reach_whom(
    chart: list[dict[str, Any]],
    source: str,
    target: str,
    port: int,
    protocol: str,
    *,
    expected: bool,
) -> None:
    outside = Peer()
    peers = {
        "operator": pod_of(chart, "Deployment"),
        "redis": pod_of(chart, "StatefulSet"),
        "neighbour": Peer(_HOME, {"app.kubernetes.io/name": "windlass"}),
        "worker": Peer("shop", {"windlass.dev/pool": "emails"}),
        "application": Peer("shop", {"app": "web"}),
        "prometheus": Peer("monitoring", {"app": "prometheus"}),
        "dns": Peer("kube-system", {"k8s-app": "kube-dns"}),
        "other broker": outside, "api server": outside, "web site": outside, "kubelet": outside,
    }  # fmt: skip
    policies = of_kind(chart, "NetworkPolicy")

    assert is_allowed(policies, peers[source], peers[target], port, protocol) is expected


def test_a_broker_at_another_port_is_reached_when_it_is_named(kube_api: Access) -> None:
    objects = rendered(kube_api, _HOME, "networkPolicy.brokerPorts={6379,7000}")
    operator, policies = pod_of(objects, "Deployment"), of_kind(objects, "NetworkPolicy")

    assert is_allowed(policies, operator, Peer(), 7000)
    assert not is_allowed(policies, operator, Peer(), 6380)


def test_without_policies_or_with_a_policy_of_nobody_everything_is_open(
    chart: list[dict[str, Any]],
) -> None:
    operator = pod_of(chart, "Deployment")
    elsewhere = [{**one, "metadata": {**one["metadata"], "namespace": "other"}}
                 for one in of_kind(chart, "NetworkPolicy")]  # fmt: skip

    assert is_allowed([], operator, Peer(), 80)
    assert is_allowed(elsewhere, operator, Peer(), 80)
