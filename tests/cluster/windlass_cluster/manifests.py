"""Kubernetes objects for tests, as dictionaries: small, and fit for the restricted profile."""

from collections.abc import Sequence
from typing import Any

WEB_PORT = 8000
_RESTRICTED_POD = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RESTRICTED_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
# The page is the pod's name, so that a test sees who answered; each request is a line of the log.
_SERVE = (
    "mkdir -p /tmp/web && echo hello from $HOSTNAME > /tmp/web/index.html && "
    f"exec python3 -u -m http.server {WEB_PORT} --directory /tmp/web"
)


def pod_spec(
    image: str, command: Sequence[str] | None = None, *, ready_port: int | None = None
) -> dict[str, Any]:
    """A pod's spec that the restricted security profile allows.

    Args:
        image: The container's image, present on the nodes.
        command: Its command; default the image's own entrypoint.
        ready_port: The port that must accept connections for the pod to be ready.
    """
    container: dict[str, Any] = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": _RESTRICTED_CONTAINER,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    if command is not None:
        container["command"] = list(command)
    if ready_port is not None:
        container["ports"] = [{"containerPort": ready_port}]
        container["readinessProbe"] = {"tcpSocket": {"port": ready_port}, "periodSeconds": 1}
    return {
        "automountServiceAccountToken": False,
        # Python as process 1 does not hear SIGTERM; there is nothing to wait for.
        "terminationGracePeriodSeconds": 1,
        "securityContext": _RESTRICTED_POD,
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


def pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A pod by itself."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": spec,
    }


def deployment(name: str, spec: dict[str, Any], *, replicas: int = 1) -> dict[str, Any]:
    """A Deployment whose pods carry the label app=NAME."""
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def service(name: str, port: int) -> dict[str, Any]:
    """A Service in front of the pods with the label app=NAME."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": port}]},
    }


def idle_pod(name: str, image: str) -> dict[str, Any]:
    """A pod that waits, for commands to be run inside."""
    wait = "import signal; signal.signal(signal.SIGTERM, lambda *_: exit(0)); signal.pause()"
    return pod(name, pod_spec(image, ["python3", "-c", wait]))


def web(name: str, image: str, *, replicas: int = 1) -> list[dict[str, Any]]:
    """A Deployment of web servers and the Service in front of them."""
    spec = pod_spec(image, ["sh", "-c", _SERVE], ready_port=WEB_PORT)
    return [deployment(name, spec, replicas=replicas), service(name, WEB_PORT)]
