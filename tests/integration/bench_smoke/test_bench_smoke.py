"""The benchmark itself works: every scenario runs its tasks and yields its figures. No speeds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench" / "run.py"
#: recovery is left out: it waits for a lease to run out, which other tests do as well.
SCENARIOS = {
    "enqueue_one": {"windlass", "bare"},
    "enqueue_bulk": {"windlass", "bare"},
    "drain_ignored": {"windlass", "bare"},
    "drain_results": {"windlass", "bare"},
    "sleeps": {"windlass"},
    "start_latency": {"windlass"},
    "first_task": {"windlass"},
    "idle": {"windlass"},
    "scheduled_memory": {"windlass"},
    "lateness": {"windlass"},
    "chain": {"windlass"},
    "chord": {"windlass"},
    "enqueue_group": {"windlass"},
    "enqueue_chord": {"windlass"},
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the benchmark at a hundredth of its size, once, and return its JSON."""
    path = tmp_path_factory.mktemp("bench") / "figures.json"
    chosen = [part for name in SCENARIOS for part in ("--only", name)]
    command = [sys.executable, str(BENCH), "--scale", "0.01", "--rounds", "1", *chosen]
    command += ["--peer", "windlass", "--peer", "bare", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(path.read_text())
    document["printed"] = done.stdout
    return document


@pytest.mark.redis
def test_every_scenario_measures_every_system_that_takes_part(document: dict[str, Any]) -> None:
    assert {name: set(row) for name, row in document["medians"].items()} == SCENARIOS


@pytest.mark.redis
def test_every_figure_is_a_number(document: dict[str, Any]) -> None:
    figures = [
        figure
        for row in document["medians"].values()
        for by_name in row.values()
        for figure in by_name.values()
    ]

    assert figures
    assert all(math.isfinite(figure) for figure in figures)


@pytest.mark.redis
@pytest.mark.parametrize("scenario", ["drain_ignored", "drain_results", "sleeps"])
def test_every_task_ran_exactly_once(document: dict[str, Any], scenario: str) -> None:
    for by_name in document["medians"][scenario].values():
        assert by_name["ran"] == by_name["sent"]


@pytest.mark.redis
def test_results_of_a_drain_are_stored(document: dict[str, Any]) -> None:
    missing = [row["results_missing"] for row in document["medians"]["drain_results"].values()]

    assert missing == [0, 0]


@pytest.mark.redis
def test_scheduled_tasks_never_start_early(document: dict[str, Any]) -> None:
    assert document["medians"]["lateness"]["windlass"]["early"] == 0


@pytest.mark.redis
def test_targets_are_printed_beside_the_figures(document: dict[str, Any]) -> None:
    assert "| enqueue bulk " in document["printed"]
    assert "50% of bare" in document["printed"]
