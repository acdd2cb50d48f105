"""Images get into the cluster: ours from this tree, quickly after a change of code, and a Redis."""

import re
import secrets
import shutil
import time
from pathlib import Path

import pytest
import redis

from windlass_cluster import paths
from windlass_cluster.machine import is_quick
from windlass_cluster.manifests import deployment, pod, pod_spec
from windlass_cluster.namespace import Namespace
from windlass_cluster.providers import ImageBuild, Provider

pytestmark = pytest.mark.e2e

_WORKER = "windlass.test/worker"
_OPERATOR = "windlass.test/operator"
_FIND = "import importlib.util as u; print(u.find_spec({!r}))"
# From an edit in the tree to the edited code running in a pod.
_CODE_ONLY_CHANGE_S = 30.0
# The dependencies are twenty times that, the base a hundred.
_CODE_LAYER_MB = 5.0


@pytest.fixture
def provider(cluster_provider: Provider, namespace: Namespace) -> Provider:
    """A provider whose cluster is up and makes its own images."""
    if cluster_provider.name == "existing":
        pytest.skip("an existing cluster pulls its images; nothing is built for it here")
    return cluster_provider


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the image is made of, to be edited."""
    let_through = (paths.TREE / ".dockerignore").read_text().splitlines()
    sources = [line.removeprefix("!") for line in let_through if line.startswith("!")]
    ignored = shutil.ignore_patterns("__pycache__")
    for name in (*sources, "Dockerfile", ".dockerignore"):
        source, copy = paths.TREE / name, tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=ignored)
        else:
            shutil.copy2(source, copy)
    return tmp_path


def _worker_image(tree: Path) -> ImageBuild:
    return ImageBuild(name=_WORKER, context=tree, file=tree / "Dockerfile", target="worker")


def _last_words(namespace: Namespace, name: str) -> str:
    """What a pod printed, once it has ended well."""
    namespace.wait(f"pod/{name}", until="jsonpath={.status.phase}=Succeeded", timeout_s=60)
    return namespace.logs(f"pod/{name}").strip()


def _one_shot(name: str, image: str, command: list[str]) -> dict[str, object]:
    return pod(name, pod_spec(image, command) | {"restartPolicy": "Never"})


def test_worker_image_runs_windlass_without_root_and_without_a_compiler(
    provider: Provider, namespace: Namespace
) -> None:
    image = provider.build(_worker_image(paths.TREE))
    provider.load(image)

    namespace.apply(
        _one_shot("version", image, ["windlass", "--version"]),
        _one_shot("compiler", image, ["sh", "-c", "id -u; command -v gcc cc || echo none"]),
        _one_shot("spec", image, ["python", "-c", _FIND.format("kubernetes")]),
    )

    assert _last_words(namespace, "version").startswith("windlass")
    assert _last_words(namespace, "compiler").split() == ["65532", "none"]
    assert _last_words(namespace, "spec") == "None"


def test_operator_image_has_the_operator_and_its_stack(
    provider: Provider, namespace: Namespace
) -> None:
    tree = paths.TREE
    file = tree / "Dockerfile"
    image = provider.build(ImageBuild(name=_OPERATOR, context=tree, file=file, target="operator"))
    provider.load(image)

    find = (
        "command -v windlass-operator && python -c 'import kopf, windlass_operator.main' && id -u"
    )
    namespace.apply(_one_shot("operator", image, ["sh", "-c", find]))

    said = _last_words(namespace, "operator").split()
    assert said == ["/opt/windlass/bin/windlass-operator", "65532"]


def test_code_only_change_is_in_the_cluster_in_half_a_minute(
    provider: Provider, namespace: Namespace, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster has the image already; one file changes and is imported in a pod."""
    provider.load(provider.build(_worker_image(tree)))
    mark = secrets.token_hex(8)
    started = time.monotonic()

    (tree / "worker" / "windlass" / "proof_of_change.py").write_text(f"MARK = {mark!r}\n")
    image = provider.build(_worker_image(tree))
    provider.load(image)
    read = "import windlass.proof_of_change as proof; print(proof.MARK)"
    namespace.apply(_one_shot("changed", image, ["python", "-c", read]))
    said = _last_words(namespace, "changed")
    took_s = time.monotonic() - started

    assert mark in said
    assert is_quick(took_s, limit_s=_CODE_ONLY_CHANGE_S)
    if provider.name == "native":
        travelled = re.findall(r"([\d.]+) MB had to travel", capsys.readouterr().err)
        assert float(travelled[-1]) < _CODE_LAYER_MB


def test_redis_runs_in_the_cluster_and_is_reached_from_outside(
    cluster_provider: Provider, namespace: Namespace
) -> None:
    image = cluster_provider.redis_image()
    namespace.apply(deployment("redis", pod_spec(image, ready_port=6379)))
    namespace.rollout("deployment/redis")

    with (
        namespace.forwarded("deployment/redis", 6379) as port,
        redis.Redis(port=port, socket_timeout=10) as client,
    ):
        client.set("proof", "kept")
        assert client.get("proof") == b"kept"
