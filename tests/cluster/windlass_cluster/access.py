"""A way into a cluster that is up: its kubeconfig, and kubectl and helm that use it."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from windlass_cluster import tools
from windlass_cluster.commands import Runner, run, wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A cluster that is up, whoever provides it.

    Attributes:
        kubeconfig: The file that says where it is and who we are.
        provider: The name of what provides it.
        context: The context of the kubeconfig; None for its current one.
        cache_dir: Where kubectl remembers the API's resources; None for its usual place.
        run: What runs commands.
    """

    kubeconfig: Path
    provider: str
    context: str | None = None
    cache_dir: Path | None = None
    run: Runner = field(default=run, repr=False)

    def kubectl(self, *args: str, stdin: str | None = None, timeout_s: float = 120) -> str:
        """Runs kubectl on this cluster and returns what it prints.

        Raises:
            CommandFailedError: It said no; its words are in the error.
        """
        return self.run([*self.kubectl_argv(), *args], stdin=stdin, timeout_s=timeout_s)

    def kubectl_argv(self) -> list[str]:
        """The start of a kubectl command for this cluster."""
        options = [f"--context={self.context}"] if self.context else []
        options += [f"--cache-dir={self.cache_dir}"] if self.cache_dir else []
        return [tools.kubectl(), f"--kubeconfig={self.kubeconfig}", *options]

    def helm(self, *args: str, timeout_s: float = 300) -> str:
        """Runs helm on this cluster and returns what it prints."""
        return self.run([*self.helm_argv(), *args], timeout_s=timeout_s)

    def helm_argv(self) -> list[str]:
        """The start of a helm command for this cluster."""
        context = [f"--kube-context={self.context}"] if self.context else []
        return [tools.helm(), f"--kubeconfig={self.kubeconfig}", *context]

    def apply(self, *manifests: Mapping[str, Any], args: Sequence[str] = ()) -> None:
        """Applies objects on the server's side.

        Args:
            manifests: The objects.
            args: More arguments for kubectl apply, a namespace for example.
        """
        documents = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", *args, "-f", "-",
            stdin=json.dumps(documents),
        )  # fmt: skip

    def get(self, *args: str) -> dict[str, Any]:
        """The JSON of `kubectl get …`."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *args, "-o", "json"))
        return answer

    def wait_for_api(self, *, timeout_s: float) -> None:
        """Waits until the API server says that it is ready.

        Raises:
            NotReadyError: It did not; its last answer is in the error.
        """
        wait_until(
            lambda: self.kubectl("get", "--raw=/readyz", "--request-timeout=5s").strip() == "ok",
            "the API server",
            timeout_s=timeout_s,
        )

    def passthrough(self, argv: Sequence[str]) -> int:
        """Runs a command on the terminal, for a person; returns its code."""
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(argv, env=env, check=False).returncode
