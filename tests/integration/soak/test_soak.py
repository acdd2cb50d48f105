"""A short soak in every run of the tests; `make soak` is the long one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from types import ModuleType

import msgspec
import pytest

from repository import ROOT

PROGRAM = ROOT / "tests" / "soak" / "run.py"
#: How long it runs with the tests; the start, the last round and the end come on top.
MINUTES = 2.0


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_run", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.modules[spec.name] = module  # msgspec looks its annotations up there
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.mark.redis
@pytest.mark.timeout(300)
def test_nothing_grows_and_nothing_is_lost_through_recycling_kills_and_reconnects() -> None:
    run = [sys.executable, str(PROGRAM), "--minutes", str(MINUTES)]
    answer = subprocess.run(run, capture_output=True, text=True)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "nothing grew" in answer.stdout


def test_soak_fails_when_something_grows(soak: ModuleType) -> None:
    names = soak.Sample.__struct_fields__
    steady = [soak.Sample(**dict.fromkeys(names, 10)) for _ in range(20)]
    assert soak.verdict(steady, 0) == []
    assert soak.verdict(steady, 2) == ["2 tasks were lost or ended otherwise than they should"]

    for name in names:
        growing = [
            msgspec.structs.replace(each, **{name: 10 + at}) for at, each in enumerate(steady)
        ]
        (problem,) = soak.verdict(growing, 0)
        assert problem.startswith(f"{name} grew from ")
    once = [soak.Sample(**dict.fromkeys(names, 90)), *steady]
    assert soak.verdict(once, 0) == [], "what is high while it warms up is no growth"
