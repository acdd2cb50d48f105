"""The operator against a real API server without nodes: our kinds are known to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace, fresh_namespace

CRDS = paths.TREE / "crds"


@pytest.fixture(scope="session")
def windlass_api(kube_api: Access) -> Access:
    """The API server with our CRDs."""
    for file in sorted(CRDS.glob("*.yaml")):
        kube_api.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(file))
        kube_api.kubectl("wait", f"crd/{Path(file).stem}.windlass.dev",
                         "--for=condition=Established", "--timeout=30s")  # fmt: skip
    return kube_api


@pytest.fixture
def home(windlass_api: Access) -> Iterator[Namespace]:
    """The namespace that the operator itself lives in."""
    with fresh_namespace(windlass_api, "home") as made:
        yield made


@pytest.fixture
def team(windlass_api: Access, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    with fresh_namespace(windlass_api, request.node.name) as made:
        yield made


@pytest.fixture
def other_team(windlass_api: Access, request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A second one."""
    with fresh_namespace(windlass_api, f"other-{request.node.name}") as made:
        yield made
