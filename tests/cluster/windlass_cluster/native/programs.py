"""The Go programs of the native provider: what they are, and how they are built and cached.

Each family is one small Go module under `native-modules/`, whose go.mod and go.sum pin every
version and checksum. What is built lands in the cache under a key of all that decides the result
(the module's files, the flags, the compiler), so a second build anywhere on the machine is a
look-up.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from windlass_cluster import paths
from windlass_cluster.commands import run, run_logged
from windlass_cluster.errors import MissingToolError
from windlass_cluster.native.locks import locked
from windlass_cluster.progress import step

KUBERNETES_VERSION = "1.37.2"
_K8S = f"v{KUBERNETES_VERSION}"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.split(".")
# Without DWARF and without a garbage collector at work, a cold build is about a tenth shorter.
_FLAGS = ["-trimpath", "-buildvcs=false", "-pgo=off", "-gcflags=all=-dwarf=false"]


def _kubernetes_stamp() -> str:
    """Without it a node calls itself v0.0.0-master and a chart's kubeVersion check fails."""
    return " ".join(
        f"-X {package}.gitVersion={_K8S} -X {package}.gitMajor={_MAJOR} "
        f"-X {package}.gitMinor={_MINOR}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    )


@dataclass(frozen=True)
class Family:
    """Programs that come from one Go module and are built by one command."""

    name: str
    packages: tuple[str, ...]
    usually: str
    stamp: str = ""
    cgo: bool = False
    tags: str = ""
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def module(self) -> Path:
        """The folder with go.mod, go.sum and tools.go."""
        return paths.MODULES / self.name

    @property
    def folder(self) -> Path:
        """Where the built programs are, or will be."""
        return paths.cache_dir() / "bin" / f"{self.name}-{self.key}"

    @cached_property
    def key(self) -> str:
        """A digest of everything that decides what the build gives."""
        digest = hashlib.sha256()
        for file in ("go.mod", "go.sum"):
            digest.update((self.module / file).read_bytes())
        facts = (self.packages, self.stamp, self.cgo, self.tags, _FLAGS, _go_version())
        digest.update(repr(facts).encode())
        return digest.hexdigest()[:16]

    def is_built(self) -> bool:
        """Whether the cache has it."""
        return self.folder.is_dir()

    def program(self, name: str) -> str:
        """The full path of one built program."""
        return str(self.folder / name)


def _cni(*names: str) -> tuple[str, ...]:
    return tuple(f"github.com/containernetworking/plugins/plugins/{name}" for name in names)


def _containerd(*names: str) -> tuple[str, ...]:
    return tuple(f"github.com/containerd/containerd/v2/cmd/{name}" for name in names)


def _k8s(*names: str) -> tuple[str, ...]:
    return tuple(f"k8s.io/kubernetes/cmd/{name}" for name in names)


ETCD = Family(
    name="etcd",
    packages=("go.etcd.io/etcd/server/v3",),
    usually="1 to 2 minutes",
    renamed={"server": "etcd", "v3": "etcd"},
)
KUBERNETES = Family(
    name="kubernetes",
    packages=_k8s(
        "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"
    ),
    usually="7 to 15 minutes on two cores",
    stamp=_kubernetes_stamp(),
)
CONTAINERD = Family(
    name="containerd",
    packages=_containerd("containerd", "containerd-shim-runc-v2", "ctr"),
    usually="2 to 3 minutes",
    stamp="-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
)
RUNC = Family(
    name="runc",
    packages=("github.com/opencontainers/runc",),
    usually="a minute",
    cgo=True,
    tags="seccomp",
)
CNI = Family(
    name="cni",
    packages=_cni("main/ptp", "main/loopback", "ipam/host-local", "meta/portmap"),
    usually="10 seconds",
    stamp="-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=v1.9.1",
)
COREDNS = Family(name="coredns", packages=("github.com/coredns/coredns",), usually="2 to 4 minutes")
HELM = Family(
    name="helm",
    packages=("helm.sh/helm/v4/cmd/helm",),
    usually="1 to 2 minutes",
    stamp="-X helm.sh/helm/v4/internal/version.version=v4.3.1",
)
METRICS_SERVER = Family(
    name="metrics-server",
    packages=("sigs.k8s.io/metrics-server/cmd/metrics-server",),
    usually="3 to 6 minutes",
)
KIND = Family(name="kind", packages=("sigs.k8s.io/kind",), usually="half a minute")

API_LEVEL = (ETCD, KUBERNETES)
FULL_LEVEL = (RUNC, CNI, KUBERNETES, ETCD, CONTAINERD, COREDNS, HELM)


def build(families: Iterable[Family]) -> None:
    """Builds what the cache does not have, one family after the other.

    Each build uses every core, so two at a time would only make both slower to show something.

    Raises:
        MissingToolError: Something has to be built and there is no Go.
        CommandFailedError: A build failed; the end of its log is in the error.
    """
    missing = [family for family in families if not family.is_built()]
    for family in missing:
        with locked(paths.cache_dir() / "locks" / f"build-{family.name}"):
            if not family.is_built():
                with step(_announcement(family), usually=f"{family.usually}, once"):
                    _build(family)


def _announcement(family: Family) -> str:
    return f"building {family.name} ({len(family.packages)} program(s) from Go modules)"


def _build(family: Family) -> None:
    partial = family.folder.with_name(f"{family.folder.name}.partial-{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tags = ["-tags", family.tags] if family.tags else []
    argv = ["go", "build", *_FLAGS, *tags, "-ldflags", f"-s -w {family.stamp}".strip()]
    env = {
        **os.environ,
        "CGO_ENABLED": "1" if family.cgo else "0",
        "GOFLAGS": "-mod=readonly",
        "GOGC": os.environ.get("GOGC", "400"),
        "GOWORK": "off",
    }
    log = paths.cache_dir() / "logs" / f"build-{family.name}.log"
    run_logged([*argv, "-o", f"{partial}/", *family.packages], log, cwd=family.module, env=env)
    for built, wanted in family.renamed.items():
        if (partial / built).exists():
            (partial / built).rename(partial / wanted)
    partial.rename(family.folder)


def _go_version() -> str:
    if shutil.which("go") is None:
        raise MissingToolError("Go (to build Kubernetes)", install="https://go.dev/doc/install")
    return run(["go", "env", "GOVERSION", "GOOS", "GOARCH"])
