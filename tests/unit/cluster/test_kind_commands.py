"""What the kind provider tells kind and the container engine to do, without either."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from windlass_cluster.errors import ClusterError, CommandFailedError
from windlass_cluster.kind import Kind, kind_config
from windlass_cluster.providers import ImageBuild, Wanted


class Recorder:
    """A runner that remembers commands and answers by what is in them.

    `then` replaces answers once a command was given: the world after it is another.
    """

    def __init__(self, answers: dict[str, str | Exception] | None = None) -> None:
        self.answers = answers or {}
        self.then: dict[str, dict[str, str | Exception]] = {}
        self.commands: list[str] = []
        self.inputs: dict[str, str | None] = {}

    def __call__(
        self, argv: Sequence[str], /, *, stdin: str | None = None, timeout_s: float = 600
    ) -> str:
        command = " ".join(argv)
        self.commands.append(command)
        self.inputs[command] = stdin
        for part, answer in list(self.answers.items()):
            if part in command:
                self.answers |= self.then.get(part, {})
                if isinstance(answer, Exception):
                    raise answer
                return answer
        return "ok"

    def issued(self) -> list[str]:
        """The commands, without the question whether the engine is there."""
        return [one for one in self.commands if not one.endswith(" info")]

    def only(self, word: str) -> list[str]:
        """The commands that contain a word."""
        return [one for one in self.commands if word in one]


def _refused(*argv: str) -> CommandFailedError:
    return CommandFailedError(argv, code=1, output="no")


def _which(*there: str) -> Callable[[str], str | None]:
    return lambda name: f"/usr/bin/{name}" if name in there else None


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("windlass_cluster.tools.kubectl", lambda: "kubectl")


def _kind(recorder: Recorder, *there: str) -> Kind:
    which = _which(*(there or ("docker", "kind")))
    return Kind(cluster="proof", run=recorder, which=which, program=lambda: "kind")


def _kubeconfig(tmp_path: Path) -> str:
    return f"--kubeconfig={tmp_path}/windlass/clusters/kind-proof/kubeconfig"


def test_up_creates_a_cluster_from_our_config(tmp_path: Path) -> None:
    recorder = Recorder({"get nodes": "", "create cluster": "made"})
    recorder.then["create cluster"] = {"get nodes": "proof-control-plane\n"}

    _kind(recorder).up(Wanted(nodes=2))

    kubeconfig = _kubeconfig(tmp_path)
    create = f"kind create cluster --name=proof --config=- --wait=180s {kubeconfig}"
    assert json.loads(recorder.inputs[create] or "") == kind_config(nodes=2)
    assert recorder.issued() == [
        "kind get nodes --name=proof",
        create,
        "kind get nodes --name=proof",
        "docker start proof-control-plane",
        f"kind export kubeconfig --name=proof {kubeconfig}",
        f"kubectl {kubeconfig} get --raw=/readyz --request-timeout=5s",
        f"kubectl {kubeconfig} wait --for=condition=Ready nodes --all --timeout=180s",
    ]


def test_up_on_a_running_cluster_creates_nothing() -> None:
    recorder = Recorder({"get nodes": "proof-control-plane\n"})

    _kind(recorder).up(Wanted())

    assert recorder.only("create cluster") == []


def test_config_has_one_control_plane_that_takes_pods_and_listens_on_loopback() -> None:
    config = kind_config(nodes=3)

    nodes = config["nodes"]
    assert isinstance(nodes, list)
    assert [node["role"] for node in nodes] == ["control-plane", "worker", "worker"]
    assert '"taints": []' in nodes[0]["kubeadmConfigPatches"][0]
    assert config["networking"] == {"apiServerAddress": "127.0.0.1"}


def test_load_hands_the_image_to_kind() -> None:
    recorder = Recorder()

    _kind(recorder).load("windlass.test/worker:1")

    assert recorder.issued() == ["kind load docker-image --name=proof windlass.test/worker:1"]


def test_kind_uses_the_engine_that_answers() -> None:
    recorder = Recorder({"docker info": _refused("docker", "info")})

    _kind(recorder, "docker", "podman", "kind").load("x:1")

    chosen = "env KIND_EXPERIMENTAL_PROVIDER=podman"
    assert recorder.issued() == [f"{chosen} kind load docker-image --name=proof x:1"]


def test_build_uses_the_engine_and_names_the_image_by_its_content(tmp_path: Path) -> None:
    recorder = Recorder({"image inspect": "sha256:0123456789abcdef0123\n"})
    image = ImageBuild(
        name="windlass.test/worker", context=tmp_path, file=tmp_path / "Dockerfile", target="worker"
    )

    reference = _kind(recorder, "podman", "kind").build(image)

    assert reference == "windlass.test/worker:0123456789ab"
    assert recorder.issued() == [
        f"podman build --file={tmp_path}/Dockerfile --tag=windlass.test/worker:build "
        f"--target=worker --build-arg=PYTHON_IMAGE=python:3.13-slim {tmp_path}",
        "podman image inspect --format={{.Id}} windlass.test/worker:build",
        "podman tag windlass.test/worker:build windlass.test/worker:0123456789ab",
    ]


def test_public_image_is_pulled_once_and_loaded() -> None:
    recorder = Recorder({"image inspect": _refused("docker", "image", "inspect")})

    reference = _kind(recorder).redis_image()

    assert recorder.issued() == [
        f"docker image inspect {reference}",
        f"docker pull {reference}",
        f"kind load docker-image --name=proof {reference}",
    ]


def test_down_deletes_the_cluster_and_its_kubeconfig(tmp_path: Path) -> None:
    recorder = Recorder({"get nodes": "proof-control-plane\n"})

    _kind(recorder).down()

    assert recorder.commands[-1] == f"kind delete cluster --name=proof {_kubeconfig(tmp_path)}"
    assert list((tmp_path / "windlass" / "clusters").glob("*")) == []


def test_down_without_a_cluster_deletes_nothing() -> None:
    recorder = Recorder({"get nodes": 'No kind nodes found for cluster "proof".\n'})

    _kind(recorder).down()

    assert recorder.only("delete") == []


@pytest.mark.parametrize(
    ("there", "answers", "expected"),
    [
        pytest.param((), {}, "no container engine answers", id="no engine is installed"),
        pytest.param(
            ("docker", "kind"),
            {"docker info": _refused("docker", "info")},
            "no container engine answers",
            id="the engine does not answer",
        ),
        pytest.param(("docker",), {}, "kind is not on the PATH", id="neither kind nor Go"),
    ],
)
def test_it_says_why_it_cannot_work(
    there: tuple[str, ...], answers: dict[str, str | Exception], expected: str
) -> None:
    kind = Kind(run=Recorder(answers), which=_which(*there))

    assert expected in (kind.why_not() or "")


def test_second_engine_is_used_when_the_first_does_not_answer() -> None:
    recorder = Recorder({"docker info": _refused("docker", "info")})

    assert _kind(recorder, "docker", "podman", "go").why_not() is None


def test_access_to_a_cluster_that_is_not_there_says_how_to_start_it() -> None:
    with pytest.raises(ClusterError, match="make cluster-up"):
        _kind(Recorder({"get nodes": ""})).access()
