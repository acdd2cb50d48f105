"""examples/07-namespaced: one namespace is served, another is not, with nothing cluster-wide."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import yaml

from operator_release import EXAMPLES, Application, Release, install
from windlass_cluster.namespace import fresh_namespace

pytestmark = pytest.mark.e2e

_FOLDER = EXAMPLES / "07-namespaced"


@pytest.fixture
def other(operator_release: Release) -> Iterator[Application]:
    """A namespace that nobody serves."""
    with fresh_namespace(operator_release.namespace.access, "elsewhere") as made:
        yield Application(made, "registry.example/sums:1.0")


def test_07_only_the_named_namespace_is_served(
    operator_release: Release, example: Callable[[str], Application], other: Application
) -> None:
    team = example("07-namespaced")
    values = yaml.safe_load((_FOLDER / "values.yaml").read_text())
    quick = {"operator": {"tickSeconds": 1}, "crds": {"keep": False}}
    # There is one release in this cluster, and it has made the CRDs: they stay its own.
    mine = {**quick, "watchNamespaces": [team.namespace.name]}
    assert set(values) == {"watchNamespaces", "crds"}
    release = operator_release
    try:
        install(release.namespace, release.images, name=release.name, values=mine)
        roles = release.namespace.kubectl(
            "get", "clusterroles,clusterrolebindings", "-o", "name",
            f"--selector=app.kubernetes.io/instance={release.name}",
        )  # fmt: skip
        assert roles == ""
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
        assert other.namespace.kubectl("get", "deployments,secrets", "-o", "name") == ""
    finally:
        install(release.namespace, release.images, name=release.name,
                values={**quick, "watchNamespaces": []})  # fmt: skip
