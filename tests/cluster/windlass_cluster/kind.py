"""A cluster made by kind (https://kind.sigs.k8s.io) in containers of docker, podman or nerdctl.

kind itself is taken from the PATH or built from its Go module. Images are built by the engine and
handed over by `kind load docker-image`, so no registry is needed for ours.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.commands import Runner, run
from windlass_cluster.errors import ClusterError, CommandFailedError
from windlass_cluster.native import programs
from windlass_cluster.progress import step
from windlass_cluster.providers import ImageBuild, Status, Wanted

ENGINES = ("docker", "podman", "nerdctl")
_PYTHON_IMAGE = "python:3.13-slim"
_REDIS_IMAGE = "redis:7-alpine"
_UP_S = 600.0


def _kind_program() -> str:
    found = shutil.which("kind")
    if found is not None:
        return found
    programs.build([programs.KIND])
    return programs.KIND.program("kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A cluster in containers."""

    name: str = "kind"
    cluster: str = "windlass"
    run: Runner = field(default=run, repr=False)
    which: Callable[[str], str | None] = field(default=shutil.which, repr=False)
    program: Callable[[], str] = field(default=_kind_program, repr=False)

    def why_not(self) -> str | None:
        """Why this provider cannot work here."""
        if self._engine() is None:
            return f"no container engine answers ({', '.join(ENGINES)})"
        if self.which("kind") is None and self.which("go") is None:
            return "kind is not on the PATH, nor Go to build it (https://kind.sigs.k8s.io)"
        return None

    def prepare(self) -> None:
        """Sees to it that there is a kind."""
        self.program()

    def up(self, wanted: Wanted) -> Access:
        """Creates the cluster, unless there is one; a stopped one is started again."""
        if not self._exists():
            config = json.dumps(kind_config(nodes=wanted.nodes))
            with step("creating a kind cluster", usually="1 to 2 minutes"):
                options = ["--config=-", "--wait=180s", f"--kubeconfig={self._kubeconfig}"]
                self.run(
                    [*self._kind("create", "cluster"), *options], stdin=config, timeout_s=_UP_S
                )
        self._start_containers()
        self._kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        self.run([*self._kind("export", "kubeconfig"), f"--kubeconfig={self._kubeconfig}"])
        access = self._access()
        access.wait_for_api(timeout_s=120)
        access.kubectl(
            "wait", "--for=condition=Ready", "nodes", "--all", "--timeout=180s", timeout_s=200
        )
        return access

    def access(self) -> Access:
        """The way into the cluster."""
        if not self._exists():
            raise ClusterError("There is no kind cluster. Start it: make cluster-up")
        return self._access()

    def down(self) -> None:
        """Deletes the cluster with its containers and its kubeconfig."""
        if self._exists():
            self.run([*self._kind("delete", "cluster"), f"--kubeconfig={self._kubeconfig}"])
        shutil.rmtree(self._kubeconfig.parent, ignore_errors=True)

    def status(self) -> Status:
        """Whether it is there, and its nodes."""
        if not self._exists():
            return Status(up=False, lines=["no kind cluster"])
        try:
            nodes = self._access().kubectl("get", "nodes", "-o", "wide")
        except CommandFailedError as failed:
            return Status(up=False, lines=[failed.output.strip()])
        return Status(up=True, lines=nodes.splitlines())

    def build(self, image: ImageBuild) -> str:
        """Builds with the engine; the tag is the image's id, so a new image is a new name."""
        engine = self._need_engine()
        built = f"{image.name}:build"
        argv = [engine, "build", f"--file={image.file}", f"--tag={built}"]
        argv += [f"--target={image.target}"] if image.target else []
        argv += [f"--build-arg={image.base_argument}={_PYTHON_IMAGE}", str(image.context)]
        self.run(argv, timeout_s=1200)
        identity = self.run([engine, "image", "inspect", "--format={{.Id}}", built]).strip()
        reference = f"{image.name}:{identity.removeprefix('sha256:')[:12]}"
        self.run([engine, "tag", built, reference])
        return reference

    def load(self, reference: str) -> None:
        """Hands an image of the engine to every node."""
        self.run([*self._kind("load", "docker-image"), reference], timeout_s=600)

    def python_image(self) -> str:
        """The public Python image, pulled by the engine once and loaded."""
        return self._public(_PYTHON_IMAGE)

    def redis_image(self) -> str:
        """The public Redis image, pulled by the engine once and loaded."""
        return self._public(_REDIS_IMAGE)

    def _public(self, reference: str) -> str:
        engine = self._need_engine()
        try:
            self.run([engine, "image", "inspect", reference])
        except CommandFailedError:
            self.run([engine, "pull", reference], timeout_s=900)
        self.load(reference)
        return reference

    def _engine(self) -> str | None:
        for engine in ENGINES:
            if self.which(engine) is None:
                continue
            try:
                self.run([engine, "info"], timeout_s=20)
            except CommandFailedError:
                continue
            return engine
        return None

    def _need_engine(self) -> str:
        engine = self._engine()
        if engine is None:
            raise ClusterError(f"No container engine answers ({', '.join(ENGINES)}).")
        return engine

    def _exists(self) -> bool:
        # "get nodes" of a cluster that is not there prints nothing to standard output.
        return bool(self._node_names())

    def _start_containers(self) -> None:
        """After a reboot the containers are there and stopped."""
        self.run([self._need_engine(), "start", *self._node_names()])

    def _node_names(self) -> list[str]:
        return [
            name
            for name in self.run(self._kind("get", "nodes")).split()
            if name.startswith(f"{self.cluster}-")
        ]

    def _kind(self, *verb: str) -> list[str]:
        """A kind command for this cluster, by the engine that answers and not by kind's guess."""
        engine = self._need_engine()
        chosen = [] if engine == "docker" else ["env", f"KIND_EXPERIMENTAL_PROVIDER={engine}"]
        return [*chosen, self.program(), *verb, f"--name={self.cluster}"]

    @property
    def _kubeconfig(self) -> Path:
        return paths.state_root() / f"kind-{self.cluster}" / "kubeconfig"

    def _access(self) -> Access:
        return Access(kubeconfig=self._kubeconfig, provider=self.name, run=self.run)


def kind_config(*, nodes: int) -> dict[str, object]:
    """What kind makes: one control plane that also takes pods, and workers beside it.

    Args:
        nodes: How many nodes take pods.
    """
    # kind taints the control plane only where there are workers.
    first = {
        "role": "control-plane",
        "kubeadmConfigPatches": [
            json.dumps({"kind": "InitConfiguration", "nodeRegistration": {"taints": []}})
        ],
    }
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"apiServerAddress": "127.0.0.1"},
        "nodes": [first, *({"role": "worker"} for _ in range(nodes - 1))],
    }
