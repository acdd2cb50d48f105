"""Apps without a broker, and a world without a current app."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from windlass import shared, shared_tasks


@pytest.fixture(autouse=True)
def no_apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin each test without a current app and without shared tasks, and restore both."""
    monkeypatch.setattr(shared, "_apps", shared._Apps())
    monkeypatch.setattr(shared._Apps, "default", None)
    monkeypatch.setattr(shared._Apps, "newest", None)
    monkeypatch.setattr(shared_tasks, "declarations", shared_tasks.Declarations())
    return


@pytest.fixture
def write_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, str]], None]]:
    """Write importable modules by path ("pkg/tasks.py"); all are forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    yield write
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "") or ""):
            del sys.modules[name]
