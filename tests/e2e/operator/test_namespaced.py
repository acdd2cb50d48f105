"""examples/07-namespaced, installed as its README says: one namespace is served, another is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from operator_release import EXAMPLES, Application, Images, Release, install
from windlass_cluster import paths
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace, fresh_namespace

pytestmark = [pytest.mark.e2e, pytest.mark.long]

_FOLDER = EXAMPLES / "07-namespaced"
_NAME = "windlass-team"


@pytest.fixture
def crds(cluster: Access) -> Iterator[None]:
    """Our kinds, applied by an administrator; this is before any chart brings its own."""
    files = sorted((paths.TREE / "crds").glob("*.yaml"))
    names = [f"crd/{file.stem}.windlass.dev" for file in files]
    for file in files:
        cluster.kubectl("apply", "--server-side", "-f", str(file))
    cluster.kubectl("wait", *names, "--for=condition=Established", "--timeout=30s")
    yield
    cluster.kubectl("delete", *names, "--timeout=60s")


@pytest.fixture
def release(cluster: Access, images: Images, namespace: Namespace, crds: None) -> Iterator[Release]:
    """An install of its own, for the test's namespace."""
    values = yaml.safe_load((_FOLDER / "values.yaml").read_text())
    assert values.pop("watchNamespaces") == ["team"]
    values |= {
        "watchNamespaces": [namespace.name],
        "operator": {"tickSeconds": 1},
        "redis": {"persistence": {"enabled": False}},
    }
    with fresh_namespace(cluster, "team-windlass") as home:
        try:
            yield install(home, images, name=_NAME, values=values)
        finally:
            namespace.kubectl("delete", "tq,wp", "--all", "--timeout=60s")
            home.helm("uninstall", _NAME, "--ignore-not-found", "--wait", "--timeout=120s")
        selector = f"--selector=app.kubernetes.io/instance={_NAME}"
        kinds = "roles,rolebindings,deployments,secrets"
        left = namespace.kubectl("get", kinds, "-o", "name", selector)
        assert left + home.kubectl("get", kinds, "-o", "name", selector) == ""


def test_07_only_the_named_namespace_is_served(
    cluster: Access, release: Release, images: Images, namespace: Namespace, tmp_path: Path
) -> None:
    team = Application(namespace, images.application(_FOLDER, tmp_path))
    roles = release.namespace.kubectl(
        "get", "clusterroles,clusterrolebindings", "-o", "name",
        f"--selector=app.kubernetes.io/instance={release.name}",
    )  # fmt: skip
    assert roles == ""
    with fresh_namespace(cluster, "elsewhere") as space:
        other = Application(space, "registry.example/sums:1.0")
        for one in (other, team):
            one.apply_file(_FOLDER / "queue.yaml")
        team.start(
            "send",
            """
            import json
            from tasks import add
            print("SAID", json.dumps(add.delay(1, 2).get(timeout=90)))
            """,
            queue="sums",
        )
        assert team.answer("send", timeout_s=150) == 3
        assert other.pool("sums").get("status") in (None, {})
        assert space.kubectl("get", "deployments,secrets", "-o", "name") == ""
