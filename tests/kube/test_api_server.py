"""The light level is a real API server: it validates, admits, authorises and collects garbage."""

import pytest

from windlass_cluster.access import Access
from windlass_cluster.commands import wait_until
from windlass_cluster.errors import CommandFailedError
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

_GROUP = "proof.windlass.dev"
_LIMITS = {
    "type": "object",
    "properties": {
        "min": {"type": "integer", "minimum": 0, "default": 1},
        "max": {"type": "integer", "minimum": 0},
    },
    "required": ["max"],
    "x-kubernetes-validations": [
        {"rule": "self.min <= self.max", "message": "min must not be above max"}
    ],
}
_CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"ranges.{_GROUP}"},
    "spec": {
        "group": _GROUP,
        "scope": "Namespaced",
        "names": {"plural": "ranges", "singular": "range", "kind": "Range"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": _LIMITS}}},
            }
        ],
    },
}


def _range(**spec: int) -> dict[str, object]:
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "Range",
        "metadata": {"name": "example"},
        "spec": spec,
    }


@pytest.fixture(scope="module")
def ranges(kube_api: Access) -> None:
    """A custom resource with a CEL rule and a default."""
    kube_api.apply(_CRD)
    name = f"crd/ranges.{_GROUP}"
    kube_api.kubectl("wait", name, "--for=condition=Established", "--timeout=30s")


@pytest.mark.usefixtures("ranges")
def test_cel_rule_rejects_a_bad_object_in_its_own_words(kube_namespace: Namespace) -> None:
    with pytest.raises(CommandFailedError, match="min must not be above max"):
        kube_namespace.apply(_range(min=3, max=2))


@pytest.mark.usefixtures("ranges")
def test_good_object_is_stored_with_its_defaults(kube_namespace: Namespace) -> None:
    kube_namespace.apply(_range(max=2))

    stored = kube_namespace.get("ranges.proof.windlass.dev", "example")
    assert stored["spec"] == {"min": 1, "max": 2}


@pytest.mark.usefixtures("ranges")
def test_unknown_field_is_refused_by_strict_validation(kube_namespace: Namespace) -> None:
    with pytest.raises(CommandFailedError, match=r"unknown field|field not declared in schema"):
        kube_namespace.apply(_range(max=2, maximum=3))


def test_rbac_refuses_a_service_account_without_a_role(kube_namespace: Namespace) -> None:
    user = f"--as=system:serviceaccount:{kube_namespace.name}:default"
    with pytest.raises(CommandFailedError, match="forbidden"):
        kube_namespace.kubectl("get", "secrets", user)


def test_pod_security_admission_refuses_a_privileged_pod(kube_namespace: Namespace) -> None:
    label = "pod-security.kubernetes.io/enforce=baseline"
    kube_namespace.access.kubectl("label", "namespace", kube_namespace.name, label)
    container = {"name": "main", "image": "any", "securityContext": {"privileged": True}}
    with pytest.raises(CommandFailedError, match="violates PodSecurity"):
        kube_namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "bad"},
                "spec": {"containers": [container]},
            }
        )


def test_owned_object_is_collected_with_its_owner(kube_namespace: Namespace) -> None:
    """The controller manager runs: without it nothing would ever be collected."""
    kube_namespace.kubectl("create", "configmap", "owner")
    uid = kube_namespace.get("configmap", "owner")["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    kube_namespace.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "owned", "ownerReferences": [reference]},
        }
    )

    kube_namespace.kubectl("delete", "configmap", "owner")

    kube_namespace.wait("configmap/owned", until="delete", timeout_s=30)


def test_deleted_namespace_goes_away_with_what_is_in_it(kube_api: Access) -> None:
    kube_api.kubectl("create", "namespace", "short-lived")
    kube_api.kubectl("create", "configmap", "inside", "--namespace=short-lived")

    kube_api.kubectl("delete", "namespace", "short-lived", "--wait=false")

    def is_gone() -> bool:
        return kube_api.kubectl("get", "namespace", "short-lived", "--ignore-not-found") == ""

    wait_until(is_gone, "the namespace to go away", timeout_s=60)


def test_server_says_the_version_it_was_built_from(kube_api: Access) -> None:
    answer = kube_api.kubectl("get", "--raw=/version")
    assert '"gitVersion": "v1.37.2"' in answer
