"""A short storm in every run of the tests, and one engine with a fault that it must catch.

`make chaos` is the long one, `make chaos-mutants` runs all engines with a fault.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chaos_mutants import MUTANTS, PACKAGE, copy_with, findings_of
from repository import ROOT

PROGRAM = ROOT / "tests" / "chaos" / "run.py"


@pytest.mark.redis
@pytest.mark.timeout(240)
def test_a_storm_of_every_fault_breaks_no_promise(tmp_path: Path) -> None:
    options = "--small --tasks 900 --minutes 0.35 --lease 2 --pause 0.1 --bursts 3 --seed 20261124"
    run = [sys.executable, str(PROGRAM), *options.split(), "--settle", "90"]

    answer = subprocess.run([*run, "--keep", str(tmp_path)], capture_output=True, text=True)

    assert answer.returncode == 0, answer.stdout[-6000:] + answer.stderr[-3000:]
    assert "Every promise was kept." in answer.stdout


@pytest.mark.redis
@pytest.mark.timeout(240)
def test_an_engine_that_skips_fencing_is_caught(tmp_path: Path) -> None:
    (mutant,) = (each for each in MUTANTS if each.name == "fencing is skipped")

    assert mutant.caught_as & set(findings_of(mutant, tmp_path))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_engine_with_a_fault_can_still_be_made(tmp_path: Path, mutant: object) -> None:
    """An edit that finds nothing to change would leave a good engine, which is caught by nobody."""
    made = copy_with(mutant, tmp_path)  # type: ignore[arg-type]  # ids= wants any object

    assert (made / "windlass" / "app.py").read_bytes() == (PACKAGE / "app.py").read_bytes()
