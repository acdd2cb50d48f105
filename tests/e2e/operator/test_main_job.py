"""The main job, end to end: work comes, workers come, all of it is done once, and workers go."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from main_job import DONE_S, MOST, QUEUE, TASKS, at_rest, start
from side_by_side import Stage, side_by_side
from windlass_cluster.commands import wait_until

pytestmark = pytest.mark.e2e


@side_by_side
def test_workers_come_for_a_burst_and_go_again_and_none_is_stopped_at_work(stage: Stage) -> None:
    application = stage.application(Path(__file__).parent / "app")
    start(application)
    most = 0

    def is_done() -> bool:
        nonlocal most
        most = max(most, len(application.workers(QUEUE)))
        return any(line.startswith("SAID ") for line in application.lines("sender"))

    wait_until(is_done, "all results", timeout_s=DONE_S)
    answers = application.answer("sender", timeout_s=60)
    at_rest(application)

    assert len(answers) == TASKS
    assert most == MOST
    # Nobody was killed or told to go while it ran a task: each ran once, nothing was handed back.
    assert Counter((deliveries, handbacks) for _, deliveries, handbacks in answers) == {
        (0, 0): TASKS
    }
    assert application.events("ScaleDownWrongVictim") == []
    assert {event["reason"] for event in application.namespace.get("events")["items"]} >= {
        "ScaledUp", "ScaledToZero",
    }  # fmt: skip
