"""The chart of an earlier commit, upgraded to this tree's while a worker works."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operator_release import Application, Images, Release, install
from windlass_cluster import paths
from windlass_cluster.namespace import Namespace

POOL = "steady"
_CHART = "charts/windlass"
_CRD = ("crd", "taskqueues.windlass.dev")
_GRACE = "terminationGracePeriodSeconds: 60"
_SPEC = {
    "app": "job",
    "queues": [{"name": POOL}],
    "replicas": 1,
    # Said in full: what an earlier CRD took for granted may be another thing today.
    "rollout": {"strategy": "Drain", "maxOldVersions": 2},
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What an upgrade changes, or must not.

    Attributes:
        crd: Versions of a CRD.
        keys: Of the release's Secret.
        worker: The pod's uid and its restarts.
    """

    crd: Any
    keys: Mapping[str, str]
    worker: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Upgrade:
    """The release after its upgrade.

    Attributes:
        application: With the pool that was there before.
        before: None when there is no history to take an earlier chart from.
    """

    release: Release
    application: Application
    before: Facts | None


def upgraded(
    namespace: Namespace,
    images: Images,
    application: Application,
    scratch: Path,
    *,
    name: str,
    values: Mapping[str, Any],
) -> Upgrade:
    """Install an earlier chart with one replica, have a pool come up, and upgrade.

    Args:
        namespace: Of the release.
        images: Of this tree, for both charts.
        application: Whose pool is to come up.
        scratch: An empty folder.
        name: Of the release.
        values: Of both, but for the replicas.
    """
    earlier = _earlier_chart(scratch)
    before = None
    if earlier is not None:
        rights = _admit_todays_operator(namespace, name, earlier)
        _hasten(earlier)
        namespace.helm("package", str(earlier), "--version=0.0.1", f"--destination={scratch}")
        first = install(namespace, images, name=name, chart=scratch / "windlass-0.0.1.tgz",
                        values={**values, "replicas": 1})  # fmt: skip
        metadata = {"apiVersion": "windlass.dev/v1alpha1", "metadata": {"name": POOL}}
        pool = {**metadata, "kind": "WorkerPool", "spec": {**_SPEC, "image": application.image}}
        application.namespace.apply({**metadata, "kind": "TaskQueue", "spec": {}}, pool)
        application.namespace.wait(f"workerpool/{POOL}", until="condition=Ready", timeout_s=120)
        before = facts(first, application)
        namespace.kubectl("delete", rights)
    release = install(namespace, images, name=name, values=values)
    return Upgrade(release, application, before)


def facts(release: Release, application: Application) -> Facts:
    """Gather them."""
    space = release.namespace
    (worker,) = application.workers(POOL)
    (container,) = worker["status"]["containerStatuses"]
    return Facts(
        crd=space.get(*_CRD)["spec"]["versions"],
        keys=space.get(f"secret/{release.fullname}")["data"],
        worker=(worker["metadata"]["uid"], container["restartCount"]),
    )


def _admit_todays_operator(namespace: Namespace, name: str, earlier: Path) -> str:
    """Give the earlier chart the kinds and the rights that it does not know of.

    Its own operator would not need them; the images here are of this tree.

    Returns:
        The binding that is to go before the upgrade.
    """
    for file in (paths.TREE / "crds").glob("*.yaml"):
        there = earlier / "files" / "crds" / file.name
        if not there.exists():
            shutil.copy(file, there)
    group = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": name, "namespace": namespace.name}
    namespace.access.apply(
        {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding",
         "metadata": {"name": f"{name}-earlier"}, "subjects": [account],
         "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"}},
    )  # fmt: skip
    return f"clusterrolebinding/{name}-earlier"


def _hasten(earlier: Path) -> None:
    """Its Redis does not hear the kubelet's TERM, so it takes the whole grace period: a minute."""
    file = earlier / "templates" / "redis.yaml"
    text = file.read_text()
    assert _GRACE in text
    file.write_text(text.replace(_GRACE, "terminationGracePeriodSeconds: 2"))


def _earlier_chart(folder: Path) -> Path | None:
    """Unpack the chart of the first commit that had one; None without a history."""
    history = ["git", "-C", str(paths.TREE), "log", "--format=%H", "--", _CHART]
    said = subprocess.run(history, capture_output=True, text=True, check=False)
    commits = said.stdout.split()
    if not commits:
        return None
    archive = subprocess.run(
        ["git", "-C", str(paths.TREE), "archive", commits[-1], _CHART],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / _CHART
