"""A cluster that is there already: the one of a kubeconfig.

It is named outright (WINDLASS_KUBECONFIG, and WINDLASS_KUBECONTEXT for one of its contexts):
a plain KUBECONFIG is not enough, because tests make and delete objects, and nobody wants that in
the cluster their shell happened to point at. It is never started, ended or given images: those have
to be where its nodes can pull them.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from windlass_cluster.access import Access
from windlass_cluster.commands import Runner, run
from windlass_cluster.errors import ClusterError, CommandFailedError
from windlass_cluster.providers import ImageBuild, Status, Wanted

_KUBECONFIG = "WINDLASS_KUBECONFIG"
_READY_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """The cluster of a kubeconfig that somebody named."""

    name: str = "existing"
    run: Runner = field(default=run, repr=False)

    def why_not(self) -> str | None:
        """Why this provider cannot work here."""
        named = os.environ.get(_KUBECONFIG)
        if not named:
            return f"{_KUBECONFIG} is not set"
        return None if Path(named).is_file() else f"{_KUBECONFIG} names no file: {named}"

    def prepare(self) -> None:
        """Nothing to do: it is there."""

    def up(self, wanted: Wanted) -> Access:
        """Checks that it answers and has the nodes that are wanted."""
        access = self.access()
        access.wait_for_api(timeout_s=_READY_S)
        return access

    def access(self) -> Access:
        """The way in, as the environment names it."""
        reason = self.why_not()
        if reason is not None:
            raise ClusterError(f"There is no existing cluster to use: {reason}.")
        return Access(
            kubeconfig=Path(os.environ[_KUBECONFIG]),
            context=os.environ.get("WINDLASS_KUBECONTEXT"),
            provider=self.name,
            run=self.run,
        )

    def down(self) -> None:
        """Leaves it alone: it is not ours."""

    def status(self) -> Status:
        """Whether it answers, and its nodes."""
        try:
            nodes = self.access().kubectl("get", "nodes", "-o", "wide")
        except (ClusterError, CommandFailedError) as failed:
            return Status(up=False, lines=[str(failed)])
        return Status(up=True, lines=nodes.splitlines())

    def build(self, image: ImageBuild) -> str:
        """The reference under which somebody has pushed this image."""
        variable = f"WINDLASS_IMAGE_{image.name.rpartition('/')[2].upper().replace('-', '_')}"
        reference = os.environ.get(variable)
        if not reference:
            raise ClusterError(
                f"An existing cluster pulls its images. Push {image.name} to where its nodes can "
                f"pull it and name it: {variable}=registry/name:tag"
            )
        return reference

    def load(self, reference: str) -> None:
        """Nothing to do: its nodes pull."""

    def python_image(self) -> str:
        """A public Python image, or the one WINDLASS_PYTHON_IMAGE names."""
        return os.environ.get("WINDLASS_PYTHON_IMAGE", "python:3.13-slim")

    def redis_image(self) -> str:
        """A public Redis image, or the one WINDLASS_REDIS_IMAGE names."""
        return os.environ.get("WINDLASS_REDIS_IMAGE", "redis:7-alpine")
