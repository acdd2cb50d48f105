"""The light level: an API server and nothing that runs pods, for tests that need only the API.

etcd, kube-apiserver and the controller manager on loopback, on free ports, as any user. It is up in
a few seconds; several can run beside each other, each under its own name.
"""

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.errors import ClusterError, NotReadyError
from windlass_cluster.native import debian, programs
from windlass_cluster.native.control_plane import ControlPlane
from windlass_cluster.native.locks import locked
from windlass_cluster.native.ports import free_ports
from windlass_cluster.native.supervisors import Plan, Supervisor

_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class ApiLevel:
    """One light API server, known by its name."""

    name: str

    @staticmethod
    def why_not() -> str | None:
        """Why there can be none here; None when there can."""
        if sys.platform != "linux":
            return "an API server from Go modules is only run on Linux"
        if shutil.which("go") is None:
            return "Go is not on the PATH (https://go.dev/doc/install)"
        return None

    def up(self, *, owner_pid: int | None = None) -> Access:
        """Starts it unless it runs, and waits until it answers.

        Args:
            owner_pid: A process it must not outlive.

        Raises:
            NotReadyError: It did not come up; the ends of its logs are in the error.
        """
        debian.ensure(debian.API_LEVEL)
        programs.build(programs.API_LEVEL)
        with locked(paths.cache_dir() / "locks" / f"cluster-{self.name}"):
            if self.supervisor.outer_pid() is None:
                self._start(owner_pid)
            access = self._access()
            try:
                access.wait_for_api(timeout_s=_READY_S)
                access.kubectl("wait", "--for=create", "namespace/default", "--timeout=30s")
            except NotReadyError as late:
                tails = "\n".join(
                    f"--- {name}\n{self.supervisor.log_tail(name)}"
                    for name in ("supervise", "etcd", "kube-apiserver")
                )
                raise ClusterError(f"{late}\n{tails}") from late
        return access

    def access(self) -> Access:
        """The way in, if it runs."""
        if self.supervisor.outer_pid() is None:
            raise ClusterError(f"The API server {self.name!r} is not up.")
        return self._access()

    def down(self) -> None:
        """Ends it and removes its data."""
        with locked(paths.cache_dir() / "locks" / f"cluster-{self.name}"):
            self.supervisor.remove()

    @property
    def _folder(self) -> Path:
        return paths.state_root() / self.name

    @property
    def supervisor(self) -> Supervisor:
        """What keeps its programs running."""
        return Supervisor(self._folder)

    def _access(self) -> Access:
        return Access(
            kubeconfig=self._folder / "kubeconfig",
            provider="native API level",
            cache_dir=self._folder / "kubectl",
        )

    def _start(self, owner_pid: int | None) -> None:
        """Begins with empty data: what a test left after a crash would only mislead."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        api, etcd, peer, manager = free_ports(4)
        control_plane = ControlPlane(
            folder=self._folder,
            address="127.0.0.1",
            api_port=api,
            etcd_port=etcd,
            etcd_peer_port=peer,
            manager_port=manager,
            on_loopback=True,
        )
        control_plane.issue_certificates()
        control_plane.pki.kubeconfig(
            self._folder / "kubeconfig", user="admin", server=control_plane.server
        )
        (self._folder / "ports.json").write_text(json.dumps({"api": api, "etcd": etcd}))
        plan = Plan(processes=control_plane.light_processes(), owner_pid=owner_pid)
        self.supervisor.start(plan)
        self.supervisor.open_gate()
