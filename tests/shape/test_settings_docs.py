"""The settings page is what the model says, and every setting is one that something reads."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
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


def test_every_setting_of_celery_is_in_the_table_once_with_its_fate() -> None:
    module = generator()
    page = module.PAGE.read_text().split("## Every setting of Celery")[1]
    listed = re.findall(r"^\| `(\w+)` \| (supported|no effect|refused) \| (.*) \|$", page, re.M)

    assert [name for name, _, _ in listed] == module.celery_settings()[1]
    assert len(listed) > 200
    assert [name for name, fate, why in listed if fate != "supported" and not why] == []


def test_recorded_list_is_that_of_the_celery_that_benchmarks_use() -> None:
    """Celery lives in an environment of its own; without it the recorded list stands."""
    python = ROOT / ".venv-bench" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-bench here: `make bench` makes it")
    code = (
        "import celery; from celery.app import defaults; print(celery.__version__, "
        "*sorted(name for name, _ in defaults.flatten(defaults.NAMESPACES)))"
    )
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    version, *names = answer.stdout.split()

    assert (version, names) == generator().celery_settings()


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
