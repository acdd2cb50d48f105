"""A namespace of a test's own: make objects in it, wait for what should happen, ask what did.

Every wait has a deadline and ends at the moment its condition is true (kubectl watches); when a
test fails, `describe_failure` gathers what a person would ask for first.
"""

import json
import re
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from windlass_cluster.access import Access
from windlass_cluster.errors import ClusterError, CommandFailedError, NotReadyError

_MAX_NAME = 40
_LOG_LINES = 60
_FORWARD_S = 30.0


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of a cluster that is up."""

    access: Access
    name: str

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Runs kubectl in this namespace and returns what it prints."""
        return self.access.kubectl(f"--namespace={self.name}", *args, stdin=stdin,
                                   timeout_s=timeout_s)  # fmt: skip

    def helm(self, *args: str, timeout_s: float = 300) -> str:
        """Runs helm in this namespace and returns what it prints."""
        return self.access.helm(f"--namespace={self.name}", *args, timeout_s=timeout_s)

    def apply(self, *manifests: Mapping[str, Any]) -> None:
        """Applies objects; their namespace is this one."""
        self.access.apply(*manifests, args=[f"--namespace={self.name}"])

    def get(self, *args: str) -> dict[str, Any]:
        """The JSON of `kubectl get …` in this namespace."""
        return self.access.get(f"--namespace={self.name}", *args)

    def wait(self, what: str, *, until: str, timeout_s: float = 90) -> None:
        """Waits until an object is as wanted.

        Args:
            what: The object, "deployment/web" for example.
            until: As in `kubectl wait --for=…`, "condition=Available" for example.
            timeout_s: Seconds until NotReadyError.

        Raises:
            NotReadyError: It did not become so; kubectl's words are in the error.
        """
        try:
            self.kubectl(
                "wait", what, f"--for={until}", f"--timeout={timeout_s}s", timeout_s=timeout_s + 15
            )
        except CommandFailedError as failed:
            raise NotReadyError(f"{what} ({until})", after_s=timeout_s, last=failed.output) from (
                failed
            )

    def rollout(self, what: str, *, timeout_s: float = 90) -> None:
        """Waits until a Deployment or StatefulSet runs what it was last told to run."""
        self.kubectl("rollout", "status", what, f"--timeout={timeout_s}s", timeout_s=timeout_s + 15)

    def run_in(self, what: str, *command: str, timeout_s: float = 60) -> str:
        """Runs a command inside a running pod ("pod/x" or "deployment/x")."""
        return self.kubectl("exec", what, "--", *command, timeout_s=timeout_s)

    def logs(self, what: str) -> str:
        """What the containers of a pod or Deployment printed."""
        return self.kubectl("logs", what, "--all-containers", "--tail=-1")

    def pods(self, selector: str) -> list[dict[str, Any]]:
        """The pods that a label selector matches."""
        found: list[dict[str, Any]] = self.get("pods", f"--selector={selector}")["items"]
        return found

    @contextmanager
    def forwarded(self, what: str, port: int) -> Iterator[int]:
        """Reaches a port of a pod or Service from this process; gives the local port.

        Args:
            what: "pod/x", "service/x" or "deployment/x".
            port: The port there.
        """
        argv = [*self.access.kubectl_argv(), f"--namespace={self.name}", "port-forward",
                "--address=127.0.0.1", what, f":{port}"]  # fmt: skip
        forward = subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert forward.stdout is not None
            line = forward.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+) ->", line)
            if found is None:
                raise ClusterError(f"port-forward to {what} did not start: {line}")
            yield int(found[1])
        finally:
            forward.terminate()
            forward.wait(timeout=_FORWARD_S)
            if forward.stdout is not None:
                forward.stdout.close()

    def describe_failure(self) -> str:
        """Events, pod states, descriptions and logs, as text for a failed test's report."""
        parts = [
            self._ask("pods", "get", "pods", "-o", "wide"),
            self._ask("events", "get", "events", "--sort-by=.lastTimestamp"),
            self._ask("describe pods", "describe", "pods"),
        ]
        try:
            names = [pod["metadata"]["name"] for pod in self.get("pods")["items"]]
        except (ClusterError, json.JSONDecodeError):
            names = []
        for name in names:
            logs = ("logs", name, "--all-containers", "--prefix", f"--tail={_LOG_LINES}")
            parts.append(self._ask(f"logs of {name}", *logs))
            previous = self._ask(f"logs of {name} before its restart", *logs, "--previous")
            if "not found" not in previous:
                parts.append(previous)
        return "\n".join(parts)

    def _ask(self, title: str, *args: str) -> str:
        try:
            said = self.kubectl(*args, timeout_s=30)
        except CommandFailedError as failed:
            said = failed.output
        return f"--- {title} ({self.name})\n{said.rstrip() or 'none'}"


@contextmanager
def fresh_namespace(access: Access, wish: str) -> Iterator[Namespace]:
    """A new namespace whose name begins as wished; deleted, without waiting, at the end.

    Args:
        access: A cluster that is up.
        wish: What the name should begin with; made to fit Kubernetes's rules.
    """
    stem = re.sub(r"[^a-z0-9]+", "-", wish.lower())[:_MAX_NAME].strip("-") or "test"
    name = f"{stem}-{secrets.token_hex(3)}"
    access.kubectl("create", "namespace", name)
    try:
        access.kubectl(
            "wait", "--for=create", "serviceaccount/default", f"--namespace={name}", "--timeout=30s"
        )
        yield Namespace(access, name)
    finally:
        access.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
