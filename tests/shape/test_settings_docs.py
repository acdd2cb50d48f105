"""The settings page is what the model says, and every setting is one that something reads."""

from __future__ import annotations

import functools
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from repository import ROOT, files
from windlass.settings.model import NAMES
from windlass.settings.sources import RESERVED_VARIABLES


def generator() -> ModuleType:
    path = ROOT / "docs" / "generate_settings.py"
    spec = importlib.util.spec_from_file_location("generate_settings", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_settings_page_is_up_to_date() -> None:
    module = generator()

    assert module.PAGE.read_text() == module.render(), "run `make docs`"


def test_settings_page_lists_every_setting_once() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| \S", page, re.MULTILINE)

    assert sorted(listed) == sorted(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_setting_is_read_by_something(name: str) -> None:
    """A setting that nothing reads would be dropped in silence."""
    readers = [path for path, code in code_by_path().items() if is_read(name, path, code)]

    assert readers, f"{name} is accepted and nothing reads it"


def is_read(name: str, path: Path, code: str) -> bool:
    reading = rf"self\.{name}\b" if path.parent.name == "settings" else rf"\b{name}\b"
    return re.search(reading, code) is not None


@functools.cache
def code_by_path() -> dict[Path, str]:
    """Return the modules without docstrings and comments: to name a setting is not to read it."""
    return {path: code_of(path.read_text()) for path in files(".py", below="worker/windlass")}


def code_of(text: str) -> str:
    without = re.sub(r'"""(?:.|\n)*?"""', "", text)
    return re.sub(r"#.*", "", without)


def test_variables_that_are_no_settings_are_reserved() -> None:
    used = {
        name
        for path in files(".py", below="worker/windlass")
        for name in re.findall(r"[\"'](WINDLASS_[A-Z_]+)[\"']", path.read_text())
    }
    settings = {f"WINDLASS_{name.upper()}" for name in NAMES}

    assert used - settings <= RESERVED_VARIABLES
