"""The chart, installed once for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from operator_release import EXAMPLES, Application, Images, Release, install
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace, fresh_namespace
from windlass_cluster.providers import Provider

_APP = Path(__file__).parent / "app"
#: Short ticks: what is tested is what happens, not how long a person has to wait for it.
_VALUES = {"operator": {"tickSeconds": 1}, "crds": {"keep": False}}


@pytest.fixture(scope="session")
def images(cluster: Access, cluster_provider: Provider) -> Images:
    """Images of this tree."""
    if cluster_provider.name == "existing":
        pytest.skip("an existing cluster pulls its images; nothing is built for it here")
    return Images(cluster_provider)


@pytest.fixture(scope="session")
def operator_release(cluster: Access, images: Images) -> Iterator[Release]:
    """The chart with its embedded Redis; uninstalled at the end, which must leave nothing."""
    with fresh_namespace(cluster, "windlass-e2e") as made:
        try:
            yield install(made, images, name="windlass-e2e", values=_VALUES)
        finally:
            _empty(cluster)
            made.helm("uninstall", "windlass-e2e", "--ignore-not-found", "--wait", "--timeout=120s")
        assert _left(made) == []


def _empty(cluster: Access) -> None:
    """Delete the queues and pools while there is an operator that can clean up after them."""
    if cluster.kubectl("get", "crd", "taskqueues.windlass.dev", "--ignore-not-found"):
        cluster.kubectl("delete", "tq,wp", "--all", "--all-namespaces", "--timeout=100s")


def _left(release: Namespace) -> list[str]:
    """What an uninstalled chart has left in the cluster, but for its claims of storage."""
    kinds = "deployments,statefulsets,services,secrets,serviceaccounts,roles,rolebindings"
    kinds += ",poddisruptionbudgets,networkpolicies,configmaps,clusterroles,clusterrolebindings"
    selector = "app.kubernetes.io/instance=windlass-e2e"
    found = release.kubectl("get", kinds, f"--selector={selector}", "-o", "name")
    ours = "--selector=app.kubernetes.io/part-of=windlass"
    return found.split() + release.kubectl("get", "crd", "-o", "name", ours).split()


@pytest.fixture
def application(
    operator_release: Release, namespace: Namespace, images: Images, tmp_path: Path
) -> Application:
    """A namespace for the tests' own application."""
    return Application(namespace, images.application(_APP, tmp_path))


@pytest.fixture
def example(
    operator_release: Release, namespace: Namespace, images: Images, tmp_path: Path
) -> Callable[[str], Application]:
    """A namespace for an example of examples/, by its folder's name."""

    def make(folder: str) -> Application:
        return Application(namespace, images.application(EXAMPLES / folder, tmp_path))

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Add what the operator and its objects say to the report of a failed test."""
    report = yield
    release = getattr(item, "funcargs", {}).get("operator_release")
    used = getattr(item, "funcargs", {}).get("namespace")
    if report.failed and isinstance(release, Release):
        report.sections.append(("operator", release.namespace.describe_failure()))
        if isinstance(used, Namespace):
            said = used.kubectl("get", "tq,wp,deployments", "-o", "yaml")
            report.sections.append(("queues and pools", said))
    return report
