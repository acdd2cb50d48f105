"""metrics-server, for the tests of an HPA: a program on node 1, known to the API by an APIService.

Optional, and built only when asked for. It runs beside the control plane and not as a pod, so that
it needs no image; the Service in front of it points at the node by an EndpointSlice of ours.
"""

import base64
from pathlib import Path

from windlass_cluster.access import Access
from windlass_cluster.commands import wait_until
from windlass_cluster.native import programs
from windlass_cluster.native.control_plane import ControlPlane
from windlass_cluster.native.network import node_address
from windlass_cluster.native.supervisors import Process
from windlass_cluster.progress import step

USER = "windlass-test-metrics"
_PORT = 4443
_GROUP = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/service-name": "metrics-server"}


def process(control_plane: ControlPlane) -> Process:
    """Says how to run it; its certificate and kubeconfig are made on the way."""
    kubeconfig = control_plane.issue_user(USER, subject=f"/CN={USER}")
    pki = control_plane.pki
    name = "metrics-server.kube-system.svc"
    pki.issue("metrics-server", subject=f"/CN={name}", sans=[f"DNS:{name}"])
    argv = [
        programs.METRICS_SERVER.program("metrics-server"),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={node_address(1)}",
        f"--secure-port={_PORT}",
        f"--tls-cert-file={pki.cert('metrics-server')}",
        f"--tls-private-key-file={pki.key('metrics-server')}",
        f"--kubelet-certificate-authority={pki.cert('ca')}",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    ]
    return Process(
        name="metrics-server",
        argv=argv,
        wait_for=f"tcp:{control_plane.address}:{control_plane.api_port}",
    )


def register(access: Access, ca: Path) -> None:
    """Makes the API server ask it for metrics, and waits until it answers.

    Args:
        access: The cluster.
        ca: The authority that signed its certificate.
    """
    bundle = base64.b64encode(ca.read_bytes()).decode()
    access.apply(*_access_rules(), *_service(), _api_service(bundle))

    def has_measured() -> bool:
        return bool(access.get("nodes.metrics.k8s.io")["items"])

    with step("waiting for the first metrics", usually="half a minute"):
        wait_until(has_measured, "the first metrics", timeout_s=120)


def _access_rules() -> list[dict[str, object]]:
    read = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": read},
    ]
    subject = {"apiGroup": _GROUP, "kind": "User", "name": USER}

    def binding(kind: str, role_kind: str, role: str, name: str) -> dict[str, object]:
        metadata = {"name": name}
        if kind == "RoleBinding":
            metadata["namespace"] = "kube-system"
        return {
            "apiVersion": f"{_GROUP}/v1",
            "kind": kind,
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": role_kind, "name": role},
            "subjects": [subject],
        }

    reader = "extension-apiserver-authentication-reader"
    return [
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": USER},
            "rules": rules,
        },
        binding("ClusterRoleBinding", "ClusterRole", USER, USER),
        binding("ClusterRoleBinding", "ClusterRole", "system:auth-delegator", f"{USER}-delegator"),
        binding("RoleBinding", "Role", reader, USER),
    ]


def _service() -> list[dict[str, object]]:
    metadata = {"name": "metrics-server", "namespace": "kube-system"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": _LABELS},
            "addressType": "IPv4",
            "ports": [{"name": "https", "port": _PORT, "protocol": "TCP"}],
            "endpoints": [{"addresses": [node_address(1)], "conditions": {"ready": True}}],
        },
    ]


def _api_service(ca: str) -> dict[str, object]:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "caBundle": ca,
            "service": {"name": "metrics-server", "namespace": "kube-system"},
        },
    }
