"""pytest fixtures: `kube_api` (an API server), `cluster` (a whole cluster), and their namespaces.

A run brings up what its tests ask for, once, and ends what it brought up. Where xdist spreads the
tests over processes they share the cluster, and each has an API server of its own: tests of the
operator and of CRDs reach over all namespaces. A cluster that was up before the run is used and
left, except in CI (the variable CI is set), where a run has its own. Where no cluster is possible,
tests that need one are skipped with the reason; in CI they fail instead.

Importing this module costs next to nothing and needs nothing but pytest.
"""

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.errors import NotPossibleHereError
from windlass_cluster.namespace import Namespace, fresh_namespace
from windlass_cluster.native.api_level import ApiLevel
from windlass_cluster.providers import Provider, Wanted, choose

# The processes of one run find each other by this; the first one sets it, the others inherit it.
_RUN = "WINDLASS_TEST_RUN"
# The tests move a pod from one node to another.
_NODES = 2
_TIMEOUTS_S = {"kube": 2400, "e2e": 3600}
_owner = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Names the run, in its first process."""
    first = not hasattr(config, "workerinput")
    config.stash[_owner] = first
    if first:
        os.environ[_RUN] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends what this process brought up, and with its first process what the run did."""
    ApiLevel(_api_name()).down()
    if not config.stash.get(_owner, False):
        return
    if _mark().exists():
        choose(_mark().read_text(), cluster=_cluster_name()).down()
        _mark().unlink()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test of a level may have to wait for builds: its time limit allows for them."""
    for item in items:
        for marker, limit_s in _TIMEOUTS_S.items():
            if item.get_closest_marker(marker) and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(limit_s))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what the cluster knows to the report of a failed test."""
    report = yield
    if report.failed and call.when in ("setup", "call"):
        for used in getattr(item, "funcargs", {}).values():
            if isinstance(used, Namespace):
                report.sections.append((f"namespace {used.name}", used.describe_failure()))
    return report


@pytest.fixture(scope="session")
def kube_api() -> Access:
    """An API server without nodes: objects, CRDs, RBAC and the controllers, but no pods run."""
    reason = ApiLevel.why_not()
    if reason is not None:
        _not_here(reason)
    return ApiLevel(_api_name()).up(owner_pid=os.getpid())


@pytest.fixture(scope="session")
def cluster_provider() -> Provider:
    """The provider of the cluster, for tests that build or load images."""
    try:
        standing = choose()
    except NotPossibleHereError as reason:
        _not_here(str(reason))
    if _is_welcome(standing) and standing.status().up:
        return standing
    return choose(standing.name, cluster=_cluster_name())


@pytest.fixture(scope="session")
def cluster(cluster_provider: Provider) -> Access:
    """A whole cluster in which pods run."""
    if not cluster_provider.status().up:
        _mark().parent.mkdir(parents=True, exist_ok=True)
        _mark().write_text(cluster_provider.name)
    return cluster_provider.up(Wanted(nodes=_NODES, owner_pid=_run()))


@pytest.fixture
def kube_namespace(kube_api: Access, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own on the light API server."""
    with fresh_namespace(kube_api, request.node.name) as made:
        yield made


@pytest.fixture
def namespace(cluster: Access, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own in the whole cluster."""
    with fresh_namespace(cluster, request.node.name) as made:
        yield made


def _run() -> int:
    """The pid of this run's first process."""
    return int(os.environ[_RUN])


def _cluster_name() -> str:
    return f"run-{_run()}"


def _api_name() -> str:
    return f"run-{os.getpid()}-api"


def _is_welcome(standing: Provider) -> bool:
    """CI has a cluster of its own, with nobody else's CRDs in it, unless one is named outright."""
    named = standing.name == "existing" or "WINDLASS_CLUSTER_NAME" in os.environ
    return named or not os.environ.get("CI")


def _mark() -> Path:
    """Says that this run brought a cluster up, and by which provider."""
    return paths.state_root() / f"{_cluster_name()}.mark"


def _not_here(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"CI is set and no cluster can be had: {reason}", pytrace=False)
    pytest.skip(f"NO CLUSTER, THESE TESTS PROVE NOTHING HERE: {reason}")
