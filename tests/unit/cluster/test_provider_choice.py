"""Which provider is taken, and what is said when there is none."""

from pathlib import Path

import pytest

from windlass_cluster.errors import NotPossibleHereError
from windlass_cluster.existing import Existing
from windlass_cluster.kind import Kind
from windlass_cluster.native.provider import Native
from windlass_cluster.providers import choose


@pytest.fixture
def possible(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the providers that can work; empty until a test adds some."""
    names: set[str] = set()
    for provider in (Existing, Kind, Native):
        name = provider().name
        answer = lambda self: None if self.name in names else f"no {self.name} here"  # noqa: E731
        monkeypatch.setattr(provider, "why_not", answer)
        assert name
    monkeypatch.delenv("WINDLASS_CLUSTER_PROVIDER", raising=False)
    monkeypatch.delenv("WINDLASS_CLUSTER_NAME", raising=False)
    return names


@pytest.mark.parametrize(
    ("can", "expected"),
    [
        pytest.param({"existing", "kind", "native"}, "existing", id="a named cluster wins"),
        pytest.param({"kind", "native"}, "kind", id="then a container engine"),
        pytest.param({"native"}, "native", id="then our own build"),
    ],
)
def test_first_possible_provider_is_taken(possible: set[str], can: set[str], expected: str) -> None:
    possible |= can

    assert choose().name == expected


def test_environment_names_one_outright(
    possible: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    possible |= {"kind", "native"}
    monkeypatch.setenv("WINDLASS_CLUSTER_PROVIDER", "native")

    assert choose().name == "native"


def test_named_one_that_cannot_work_is_not_replaced_by_another(possible: set[str]) -> None:
    possible |= {"native"}

    with pytest.raises(NotPossibleHereError, match="kind: no kind here"):
        choose("kind")


@pytest.mark.usefixtures("possible")
def test_every_reason_is_given_when_none_can() -> None:
    expected = "existing: no existing here; kind: no kind here; native: no native here"
    with pytest.raises(NotPossibleHereError, match=expected):
        choose()


@pytest.mark.usefixtures("possible")
def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(NotPossibleHereError, match="Expected one of: existing, kind, native"):
        choose("minikube")


def test_native_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in (Native().why_not() or "")

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Go is not on the PATH" in (Native().why_not() or "")
