"""What is missing is installed by root on Debian, and named with its command anywhere else."""

import os
import shutil

import pytest

from windlass_cluster.errors import MissingToolError
from windlass_cluster.native import debian

_NEEDED: debian.Packages = {"here": lambda: True, "one": lambda: False, "two": lambda: False}


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> list[str]:
    """The commands that were run, on a machine with apt-get where we are root."""
    ran: list[str] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(debian, "run", lambda argv, **_: ran.append(" ".join(argv)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return ran


def test_nothing_is_run_when_nothing_is_missing(commands: list[str]) -> None:
    debian.ensure({"here": lambda: True})

    assert commands == []


def test_root_on_debian_installs_what_is_missing_and_says_so(
    commands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    debian.ensure(_NEEDED)

    install = "apt-get install --yes --no-install-recommends one two"
    assert commands == ["apt-get update", f"env DEBIAN_FRONTEND=noninteractive {install}"]
    assert "installing one, two" in capsys.readouterr().err


def test_others_are_told_the_command(commands: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(MissingToolError, match=r"sudo apt-get install .* one two"):
        debian.ensure(_NEEDED)
    assert commands == []
