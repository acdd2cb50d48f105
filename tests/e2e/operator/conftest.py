"""The chart, installed once for all tests of this folder, by way of an upgrade from an earlier one.

Phases: an install of its own for one namespace; the upgrade; what goes on side by side; what breaks
things; and at the end of the session the chart is uninstalled, which must leave nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster_report import report_of
from operator_release import Application, Images, Release
from release_upgrade import Upgrade, upgraded
from side_by_side import Scenes, Stage, scenes_of
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace, fresh_namespace
from windlass_cluster.providers import Provider, Wanted

_HERE = Path(__file__).parent
_APP = _HERE / "app"
_NAME = "windlass-e2e"
_STORAGE = "windlass-e2e"
#: Files in the order that their tests are run in.
_PHASES = (
    "namespaced",
    "chart_upgrade",
    "main_job",
    "examples",
    "helm_test",
    "trouble",
    "schedules",
    "limits",
    "chaos",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of this folder by phase; all others stay where they are."""
    mine = sorted((item for item in items if item.path.parent == _HERE), key=_phase)
    ordered = iter(mine)
    items[:] = [next(ordered) if item.path.parent == _HERE else item for item in items]


def _phase(item: pytest.Item) -> int:
    return _PHASES.index(item.path.stem.removeprefix("test_"))


@pytest.fixture(scope="session")
def images(cluster: Access, cluster_provider: Provider) -> Images:
    """Images of this tree."""
    if cluster_provider.name == "existing":
        pytest.skip("an existing cluster pulls its images; nothing is built for it here")
    return Images(cluster_provider)


@pytest.fixture(scope="session")
def has_metrics(cluster: Access, cluster_provider: Provider) -> bool:
    """Whether pods are measured; a native cluster of ours learns to."""
    if cluster_provider.name == "native":
        owner = int(os.environ["WINDLASS_TEST_RUN"])
        cluster_provider.up(Wanted(nodes=2, metrics_server=True, owner_pid=owner))
    service = "v1beta1.metrics.k8s.io"
    return bool(cluster.kubectl("get", "apiservice", service, "--ignore-not-found"))


@pytest.fixture(scope="session")
def storage_class(cluster: Access, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The class of the Redis' volume: the cluster's own, else one volume that is a folder here."""
    default = "storageclass.kubernetes.io/is-default-class"
    classes = cluster.get("storageclasses")["items"]
    if any(one["metadata"].get("annotations", {}).get(default) == "true" for one in classes):
        yield ""
        return
    folder = tmp_path_factory.mktemp("redis-volume")
    folder.chmod(0o777)  # a folder of the machine does not take the pod's group over
    cluster.apply(
        {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
         "metadata": {"name": _STORAGE}, "provisioner": "kubernetes.io/no-provisioner"},
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": _STORAGE},
         "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                  "storageClassName": _STORAGE, "persistentVolumeReclaimPolicy": "Retain",
                  "hostPath": {"path": str(folder), "type": "Directory"}}},
    )  # fmt: skip
    yield _STORAGE
    cluster.kubectl("delete", f"storageclass/{_STORAGE}", f"pv/{_STORAGE}", "--wait=false")


@pytest.fixture(scope="session")
def upgrade(
    cluster: Access, images: Images, storage_class: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgrade]:
    """The chart with its embedded Redis on a volume, upgraded from an earlier one."""
    values = {
        # Short ticks: what is tested is what happens, not how long a person has to wait for it.
        "operator": {"tickSeconds": 1},
        "crds": {"keep": False},
        "redis": {"persistence": {"enabled": True, "size": "1Gi", "storageClass": storage_class}},
    }
    with fresh_namespace(cluster, _NAME) as made, fresh_namespace(cluster, "steady") as steady:
        try:
            image = images.application(_APP, tmp_path_factory.mktemp("steady"))
            scratch = tmp_path_factory.mktemp("earlier")
            application = Application(steady, image)
            yield upgraded(made, images, application, scratch, name=_NAME, values=values)
        finally:
            _empty(cluster)
            made.helm("uninstall", _NAME, "--ignore-not-found", "--wait", "--timeout=120s")
        assert _left(made) == []


@pytest.fixture(scope="session")
def operator_release(upgrade: Upgrade) -> Release:
    """The chart of this tree."""
    return upgrade.release


def _empty(cluster: Access) -> None:
    """Delete the queues and pools while there is an operator that can clean up after them."""
    if cluster.kubectl("get", "crd", "taskqueues.windlass.dev", "--ignore-not-found"):
        cluster.kubectl("delete", "bs,tq,wp", "--all", "--all-namespaces", "--timeout=100s")


def _left(release: Namespace) -> list[str]:
    """What an uninstalled chart has left in the cluster, but for its claims of storage."""
    kinds = "deployments,statefulsets,services,secrets,serviceaccounts,roles,rolebindings"
    kinds += ",poddisruptionbudgets,networkpolicies,configmaps,clusterroles,clusterrolebindings"
    selector = f"app.kubernetes.io/instance={_NAME}"
    found = release.kubectl("get", kinds, f"--selector={selector}", "-o", "name")
    ours = "--selector=app.kubernetes.io/part-of=windlass"
    return found.split() + release.kubectl("get", "crd", "-o", "name", ours).split()


@pytest.fixture(scope="session")
def scenes(
    request: pytest.FixtureRequest,
    operator_release: Release,
    images: Images,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    has_metrics: bool,
) -> Iterator[Scenes]:
    """Everything that goes on side by side; started by the first test that asks for it."""
    selected = scenes_of(request.session.items)
    folder = tmp_path_factory.mktemp("scenes")

    def stage(name: str) -> Stage:
        return Stage(name, operator_release, images, folder, has_metrics)

    with ThreadPoolExecutor(len(selected)) as threads:
        made = Scenes(threads, stage)
        made.start(selected)
        yield made


@pytest.fixture
def application(
    operator_release: Release, namespace: Namespace, images: Images, tmp_path: Path
) -> Application:
    """A namespace for the tests' own application."""
    return Application(namespace, images.application(_APP, tmp_path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add what the operator, its Redis and the objects say to the report of a failed test."""
    report = yield
    if report.failed:
        report.sections += report_of(getattr(item, "funcargs", {}).values())
    return report
