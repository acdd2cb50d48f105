"""What every pool has in common."""

from __future__ import annotations

import signal

import pytest

POOLS = ["prefork", "threads", "asyncio", "solo"]


@pytest.fixture(params=POOLS)
def worker(request, start_worker):
    """A worker with room for two tasks (solo: one)."""
    env = {"NO_HARD_LIMITS": "1"} if request.param == "solo" else {}
    return start_worker("-c", "2", "-P", request.param, **env)


def test_results_of_many_tasks_come_back_right(app, worker):
    results = app.send_many([app.signature("worker_tasks.add", args=[n, n]) for n in range(300)])

    assert [result.get(timeout=30) for result in results] == [2 * n for n in range(300)]


def test_coroutine_tasks_run(app, worker, marks):
    marks.go("a")

    assert app.send_task("worker_tasks.ahold", ["a"]).get(timeout=10) == "a"


def test_term_finishes_what_runs(app, worker, marks):
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    worker.send(signal.SIGTERM)
    marks.go("a")

    assert worker.wait() == 0
    assert result.get(timeout=5) == "a"


def test_quit_hands_back_what_runs_and_leaves_at_once(app, worker, marks, depth_of):
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    worker.send(signal.SIGQUIT)

    assert worker.wait() == 0
    assert result.stage == "QUEUED"
    assert depth_of().open == 1


def test_failure_is_stored_and_the_worker_goes_on(app, worker):
    with pytest.raises(TypeError):
        app.send_task("worker_tasks.add", [1]).get(timeout=10)

    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2
