"""A limit of a TaskQueue holds across pods, and a waiting task says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from side_by_side import Stage, side_by_side

pytestmark = [pytest.mark.e2e, pytest.mark.long]

TASKS, SECONDS = 12, 0.3
_QUEUE: dict[str, Any] = {
    "apiVersion": "windlass.dev/v1alpha1", "kind": "TaskQueue", "metadata": {"name": "work"},
    "spec": {"maxConcurrency": 1},
}  # fmt: skip
_SENDER = f"""
    import json, time
    from job import app, work
    from windlass.control_plane.depth import read_depths
    from windlass.control_plane.heartbeats import read_workers

    while len(read_workers(app.broker)) < 2:
        time.sleep(0.05)
    began, most, why = time.monotonic(), 0, set()
    results = work.send_many([({SECONDS},)] * {TASKS}, queue="work")
    while not all(result.ready() for result in results):
        most = max(most, read_depths(app.broker, ["work"])[0].leased)
        why |= {{reason.cause for reason in app.control.why(results[-1].id).reasons}}
    took_s = time.monotonic() - began
    print("SAID", json.dumps({{"most": most, "took_s": took_s, "why": sorted(why)}}), flush=True)
"""


@side_by_side
def test_limit_of_a_queue_is_honoured_by_all_pods_together(stage: Stage) -> None:
    application = stage.application(Path(__file__).parent / "app")
    pool = {
        **_QUEUE, "kind": "WorkerPool",
        "spec": {"app": "job", "image": application.image, "queues": [{"name": "work"}],
                 "replicas": 2, "concurrency": 2},
    }  # fmt: skip
    application.namespace.apply(_QUEUE, pool)
    application.start("sender", _SENDER, queue="work")

    said = application.answer("sender", timeout_s=240)

    assert said["most"] == 1
    assert said["took_s"] >= TASKS * SECONDS
    assert "limited" in said["why"]
