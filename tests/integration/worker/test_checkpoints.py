"""Long tasks in real workers: the next run starts where the last one has saved."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from waiting import eventually
from windlass.exceptions import LeaseLostError

POOLS = ["prefork", "threads", "asyncio", "solo"]


def steps(marks: Any, name: str = "steps") -> list[int]:
    """Which steps were done, over all runs, in order."""
    return [int(line.split()[1]) for line in marks.lines(name)]


@pytest.mark.parametrize("pool", POOLS)
def test_a_drain_hands_the_task_back_and_the_next_run_goes_on(
    app, start_worker, marks, pool
) -> None:
    worker = start_worker("-c", "1", "-P", pool, tasks="checkpoint_tasks")
    result = app.send_task("checkpoint_tasks.count", [6], {"waits_after": 3})
    eventually(lambda: steps(marks) == [0, 1, 2, 3])
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert steps(marks) == [0, 1, 2, 3]

    marks.go("on")
    start_worker("-c", "1", "-P", pool, tasks="checkpoint_tasks")
    # From where the last run was, once, and as no new try.
    assert result.get(timeout=20) == {"from": 4, "deliveries": 0, "handbacks": 1, "retries": 0}
    assert steps(marks) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_killed_process_costs_what_was_not_saved_yet(app, start_worker, marks, pool) -> None:
    start_worker("-c", "1", "-P", pool, tasks="checkpoint_tasks")
    result = app.send_task("checkpoint_tasks.count", [6], {"waits_after": 3})
    eventually(lambda: steps(marks) == [0, 1, 2, 3])
    marks.go("on")
    os.kill(marks.pids("steps")[-1], signal.SIGKILL)

    assert result.get(timeout=20)["from"] in (3, 4)
    assert set(steps(marks)) == set(range(6))


def test_a_killed_worker_loses_no_checkpoint(app, start_worker, marks) -> None:
    worker = start_worker("-c", "1", tasks="checkpoint_tasks")
    result = app.send_task("checkpoint_tasks.count", [6], {"waits_after": 3})
    eventually(lambda: steps(marks) == [0, 1, 2, 3])
    worker.children()
    worker.send(signal.SIGKILL)
    worker.wait()
    marks.go("on")
    start_worker("-c", "1", tasks="checkpoint_tasks")

    told = result.get(timeout=20)
    assert (told["from"] in (3, 4), told["deliveries"]) == (True, 1)


@pytest.mark.parametrize("pool", ["prefork", "asyncio"])
def test_a_retry_goes_on_and_what_was_not_due_to_be_saved_is(
    app, start_worker, marks, pool
) -> None:
    start_worker("-c", "1", "-P", pool, tasks="checkpoint_tasks", CHECKPOINT_INTERVAL="3600")

    result = app.send_task("checkpoint_tasks.retried", [3])
    assert result.get(timeout=20) == [[0, None], [1, 1], [2, 2], [3, 3]]


def test_a_run_that_lost_its_lease_is_told_and_saves_nothing(app, start_worker, marks) -> None:
    worker = start_worker("-c", "1", tasks="checkpoint_tasks")
    result = app.send_task("checkpoint_tasks.zombie", ["z"])
    marks.began("z")
    worker.send(signal.SIGSTOP)
    start_worker("-c", "1", tasks="checkpoint_tasks")
    marks.began("z", times=2)
    marks.go("z")

    eventually(lambda: sorted(_ends(marks)) == [LeaseLostError.__name__, "saved"])
    worker.send(signal.SIGCONT)
    assert result.get(timeout=20) == "second"


def _ends(marks: Any) -> list[str]:
    return [line.split()[1] for line in marks.lines("z.ended")]
