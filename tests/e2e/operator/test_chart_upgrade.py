"""The chart of an earlier commit is upgraded to this one: CRDs change, and no worker restarts."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from operator_release import Application, Release, install
from windlass_cluster import paths

pytestmark = pytest.mark.e2e

_CHART = "charts/windlass"
_POOL = {
    "apiVersion": "windlass.dev/v1alpha1",
    "kind": "WorkerPool",
    "metadata": {"name": "steady"},
    "spec": {
        "app": "job",
        "queues": [{"name": "steady"}],
        "replicas": 1,
        # Said in full: what an earlier CRD took for granted may be another thing today.
        "rollout": {"strategy": "Drain", "maxOldVersions": 2},
    },
}


def _earlier_chart(folder: Path) -> Path:
    """Package the chart of the first commit that had one, under an earlier version."""
    history = ["git", "-C", str(paths.TREE), "log", "--format=%H", "--", _CHART]
    said = subprocess.run(history, capture_output=True, text=True, check=False)
    commits = said.stdout.split()
    if not commits:
        pytest.skip("there is no history here")
    archive = subprocess.run(
        ["git", "-C", str(paths.TREE), "archive", commits[-1], _CHART],
        capture_output=True, check=True,
    ).stdout  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder / _CHART


def _package(release: Release, chart: Path, version: str) -> Path:
    target = chart.parent.parent
    release.namespace.helm("package", str(chart), f"--version={version}", f"--destination={target}")
    return target / f"windlass-{version}.tgz"


def _worker(application: Application) -> tuple[str, int]:
    (worker,) = application.workers("steady")
    (container,) = worker["status"]["containerStatuses"]
    return worker["metadata"]["uid"], container["restartCount"]


def test_upgrade_changes_crds_and_values_and_restarts_no_worker(
    operator_release: Release, application: Application, tmp_path: Path
) -> None:
    space = operator_release.namespace
    earlier = _package(operator_release, _earlier_chart(tmp_path), "0.0.1")
    crd = ("crd", "taskqueues.windlass.dev")
    secret = f"secret/{operator_release.fullname}"
    install(space, operator_release.images, name=operator_release.name, chart=earlier,
            values={"replicas": 1, "crds": {"keep": False}})  # fmt: skip
    before = space.get(*crd)["spec"]["versions"]
    keys = space.get(secret)["data"]
    queue = {**_POOL, "kind": "TaskQueue", "spec": {}}
    pool = {**_POOL, "spec": {**_POOL["spec"], "image": application.image}}
    application.namespace.apply(queue, pool)
    application.namespace.wait("workerpool/steady", until="condition=Ready", timeout_s=120)
    worker = _worker(application)

    install(space, operator_release.images, name=operator_release.name,
            values={"operator": {"tickSeconds": 1}, "crds": {"keep": False}})  # fmt: skip

    assert space.get(*crd)["spec"]["versions"] != before
    assert space.get(secret)["data"] == keys, "the passwords were made anew"
    deployment = space.get(f"deployment/{operator_release.fullname}")
    assert deployment["spec"]["replicas"] == 2
    # It still works, for the worker that was there before.
    application.start(
        "after",
        """
        import json
        from job import work
        print("SAID", json.dumps(work.apply_async((0.01,), queue="steady").get(timeout=60)))
        """,
        queue="steady",
    )
    assert application.answer("after", timeout_s=120)[1:] == [0, 0]
    application.namespace.wait("workerpool/steady", until="condition=Ready", timeout_s=60)
    assert _worker(application) == worker


def test_helm_test_passes(operator_release: Release) -> None:
    said = operator_release.namespace.helm("test", operator_release.name, "--timeout=90s")

    assert "Succeeded" in said
