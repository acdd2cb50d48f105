"""The provider of a cluster that is there: named on purpose, asked, and otherwise left alone."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from windlass_cluster.errors import ClusterError, CommandFailedError
from windlass_cluster.existing import Existing
from windlass_cluster.providers import ImageBuild, Wanted


class Recorder:
    """A runner that remembers commands and answers all of them the same."""

    def __init__(self, answer: str | Exception = "ok") -> None:
        self.answer = answer
        self.commands: list[str] = []

    def __call__(
        self, argv: Sequence[str], /, *, stdin: str | None = None, timeout_s: float = 600
    ) -> str:
        self.commands.append(" ".join(argv))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A kubeconfig that is named the way a person would."""
    file = tmp_path / "config"
    file.write_text("{}")
    monkeypatch.setenv("WINDLASS_KUBECONFIG", str(file))
    monkeypatch.setattr("windlass_cluster.tools.kubectl", lambda: "kubectl")
    return file


def test_plain_kubeconfig_variable_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINDLASS_KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBECONFIG", "/etc/hosts")

    assert Existing().why_not() == "WINDLASS_KUBECONFIG is not set"


def test_file_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_KUBECONFIG", "/no/such/file")

    assert "/no/such/file" in (Existing().why_not() or "")


def test_up_only_asks_whether_it_is_ready(kubeconfig: Path) -> None:
    recorder = Recorder()

    Existing(run=recorder).up(Wanted(nodes=2))

    expected = [f"kubectl --kubeconfig={kubeconfig} get --raw=/readyz --request-timeout=5s"]
    assert recorder.commands == expected


def test_named_context_is_used(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_KUBECONTEXT", "staging")
    recorder = Recorder()

    Existing(run=recorder).access().kubectl("get", "pods")

    expected = [f"kubectl --kubeconfig={kubeconfig} --context=staging get pods"]
    assert recorder.commands == expected


def test_down_and_load_do_nothing(kubeconfig: Path) -> None:
    recorder = Recorder()
    existing = Existing(run=recorder)

    existing.load("any")
    existing.down()

    assert recorder.commands == []
    assert kubeconfig.exists()


@pytest.mark.usefixtures("kubeconfig")
def test_status_of_a_cluster_that_does_not_answer_is_down() -> None:
    refused = CommandFailedError(["kubectl"], code=1, output="connection refused")

    status = Existing(run=Recorder(refused)).status()

    assert not status.up
    assert "connection refused" in status.lines[0]


def test_image_has_to_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = ImageBuild(name="windlass.test/worker", context=tmp_path, file=tmp_path / "Dockerfile")

    with pytest.raises(ClusterError, match="WINDLASS_IMAGE_WORKER=registry/name:tag"):
        Existing().build(image)
    monkeypatch.setenv("WINDLASS_IMAGE_WORKER", "registry.example/worker:1")
    assert Existing().build(image) == "registry.example/worker:1"
