"""Slot processes are replaced after so many tasks and above so much memory, seen during a task."""

from __future__ import annotations

import pytest

from waiting import eventually
from windlass.exceptions import WorkerLostError


@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio"])
def test_process_runs_no_more_than_its_number_of_tasks(app, start_worker, pool):
    start_worker("-c", "1", "-P", pool, "--max-tasks-per-child", "3")
    pids = [r.get(timeout=20) for r in app.send_many([app.signature("worker_tasks.pid")] * 10)]

    assert max(pids.count(pid) for pid in pids) == 3
    assert len(set(pids)) == 4


def test_recycling_counts_nobody_as_lost(app, start_worker):
    worker = start_worker("-c", "2", "--max-tasks-per-child", "2")
    results = app.send_many([app.signature("worker_tasks.deliveries")] * 20)

    assert [result.get(timeout=20) for result in results] == [[0, 0]] * 20
    assert "slot_lost" not in worker.log()


def test_process_over_the_memory_limit_ends_after_the_task_that_it_runs(app, start_worker, marks):
    worker = start_worker("-c", "1", "--max-memory-per-child", "150000")
    first = app.send_task("worker_tasks.grow", ["a", 150])
    pid = marks.began("a")
    # It is seen while the task still runs.
    eventually(lambda: "max_memory_per_child" in worker.log())
    marks.go("a")

    assert first.get(timeout=10) == pid
    assert app.send_task("worker_tasks.pid").get(timeout=10) != pid
    assert "slot_lost" not in worker.log()


def test_process_over_twice_the_limit_is_killed_and_its_message_ends_as_dead_letter(
    app, start_worker
):
    start_worker("-c", "1", "--max-memory-per-child", "100000")
    result = app.send_task("worker_tasks.grow", ["a", 400])

    with pytest.raises(WorkerLostError, match="over twice max_memory_per_child"):
        result.get(timeout=30)


def test_process_that_is_over_the_limit_from_the_start_still_works(app, start_worker):
    worker = start_worker("-c", "1", "--max-memory-per-child", "30000")

    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=20) == 3
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=20) == 3
    assert worker.is_alive
