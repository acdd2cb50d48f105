"""The one interface behind which every kind of test cluster looks the same, and the choice.

`existing` wins where a kubeconfig is named, then `kind` where a container engine answers, then
`native` where this is Linux and we are root and there is Go. WINDLASS_CLUSTER_PROVIDER names one
outright.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.errors import NotPossibleHereError

CHOICES = ("existing", "kind", "native")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a cluster.

    Attributes:
        nodes: How many nodes take pods; a native cluster that has fewer grows.
        metrics_server: Whether pods' CPU and memory are measured, as an HPA needs.
        owner_pid: A process that a native cluster must not outlive.
    """

    nodes: int = 1
    metrics_server: bool = False
    owner_pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What a person wants to know about a cluster."""

    up: bool
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBuild:
    """An image to be made from a Dockerfile.

    Attributes:
        name: Repository part of the reference; the provider chooses the tag.
        context: The folder the Dockerfile sees.
        file: The Dockerfile.
        target: Its stage; None for the last.
        base_argument: The build argument that takes the Python base image.
    """

    name: str
    context: Path
    file: Path
    target: str | None = None
    base_argument: str = "PYTHON_IMAGE"


class Provider(Protocol):
    """One way to have a Kubernetes. Every method may be called again without harm."""

    @property
    def name(self) -> str:
        """What it is called in WINDLASS_CLUSTER_PROVIDER."""
        ...

    def why_not(self) -> str | None:
        """Why this provider cannot work here; None when it can."""
        ...

    def prepare(self) -> None:
        """Does what takes long and is done once, so that `up` is quick."""
        ...

    def up(self, wanted: Wanted) -> Access:
        """Brings the cluster up, or to what is wanted, or leaves it as it is."""
        ...

    def access(self) -> Access:
        """The way into a cluster that is up; raises ClusterError when it is not."""
        ...

    def down(self) -> None:
        """Ends the cluster and everything that belongs to it."""
        ...

    def status(self) -> Status:
        """What there is at the moment."""
        ...

    def build(self, image: ImageBuild) -> str:
        """Builds an image on this machine; returns its reference."""
        ...

    def load(self, reference: str) -> None:
        """Makes an image of this machine known to every node."""
        ...

    def python_image(self) -> str:
        """An image with Python that pods of this cluster can run."""
        ...

    def redis_image(self) -> str:
        """An image whose entrypoint is redis-server that pods of this cluster can run."""
        ...


def choose(name: str | None = None, *, cluster: str | None = None) -> Provider:
    """Picks the provider.

    Args:
        name: The name of one; default WINDLASS_CLUSTER_PROVIDER, else the first that can work.
        cluster: The name of the cluster; default WINDLASS_CLUSTER_NAME, else "windlass".

    Raises:
        NotPossibleHereError: None can; the reasons of each are in the error.
    """
    # Imported here so that a test run which needs no cluster pays for none of it.
    from windlass_cluster.existing import Existing
    from windlass_cluster.kind import Kind
    from windlass_cluster.native.provider import Native

    named = cluster or paths.cluster_name()
    known: dict[str, Provider] = {
        "existing": Existing(),
        "kind": Kind(cluster=named),
        "native": Native(cluster=named),
    }
    wanted = name or os.environ.get("WINDLASS_CLUSTER_PROVIDER") or None
    if wanted is not None and wanted not in known:
        expected = ", ".join(CHOICES)
        raise NotPossibleHereError(f"There is no provider {wanted!r}. Expected one of: {expected}.")
    reasons = []
    for provider in [known[wanted]] if wanted else known.values():
        reason = provider.why_not()
        if reason is None:
            return provider
        reasons.append(f"{provider.name}: {reason}")
    raise NotPossibleHereError("No test cluster is possible here. " + "; ".join(reasons))
