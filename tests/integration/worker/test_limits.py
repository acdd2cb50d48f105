"""Soft and hard time limits in every pool, or refused at start in words."""

from __future__ import annotations

import pytest

from windlass.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

SOFT = [
    ("prefork", "worker_tasks.soft"),
    ("prefork", "worker_tasks.asoft"),
    ("threads", "worker_tasks.soft"),
    ("threads", "worker_tasks.asoft"),
    ("asyncio", "worker_tasks.asoft"),
    ("asyncio", "worker_tasks.soft"),
    ("solo", "worker_tasks.soft"),
]
HARD = [
    ("prefork", "worker_tasks.hard"),
    ("threads", "worker_tasks.hard"),
    ("asyncio", "worker_tasks.ahard"),
    ("asyncio", "worker_tasks.hard"),
]


def pool_env(pool):
    # The module declares hard limits, which solo refuses: take them away there.
    return {"NO_HARD_LIMITS": "1"} if pool == "solo" else {}


@pytest.mark.parametrize(("pool", "task"), SOFT)
def test_soft_limit_is_raised_inside_the_task_which_may_clean_up(
    app, start_worker, marks, pool, task
):
    start_worker("-c", "2", "-P", pool, **pool_env(pool))

    assert app.send_task(task, ["a"]).get(timeout=10) == "cleaned up"
    assert len(marks.lines("a.soft")) == 1


@pytest.mark.parametrize(("pool", "task"), SOFT)
def test_soft_limit_that_is_not_caught_is_the_failure(app, start_worker, pool, task):
    start_worker("-c", "2", "-P", pool, **pool_env(pool))
    result = app.send_task(task, ["a"], {"catches": False})

    with pytest.raises(SoftTimeLimitExceeded):
        result.get(timeout=10)
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=10) == 3


@pytest.mark.parametrize(("pool", "task"), HARD)
def test_hard_limit_ends_the_task_as_failure_and_the_worker_goes_on(
    app, start_worker, marks, pool, task
):
    worker = start_worker("-c", "2", "-P", pool)
    result = app.send_task(task, ["a"])

    with pytest.raises(TimeLimitExceeded, match=r"0\.5"):
        result.get(timeout=10)
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=10) == 3
    assert len(marks.lines("a.began")) == 1
    assert "task_hard_limit_passed" in worker.log()


@pytest.mark.parametrize(
    ("pool", "neighbour"), [("threads", "worker_tasks.hold"), ("asyncio", "worker_tasks.ahold")]
)
def test_neighbours_of_a_hard_limit_are_handed_back_uncounted(
    app, start_worker, marks, pool, neighbour
):
    start_worker("-c", "4", "-P", pool)
    held = app.send_task(neighbour, ["n"])
    marks.began("n")
    limited = app.send_task("worker_tasks.hard", ["a"])

    with pytest.raises(TimeLimitExceeded):
        limited.get(timeout=10)
    marks.began("n", times=2)
    marks.go("n")
    assert held.get(timeout=10) == "n"


def test_limit_of_one_call_wins_over_the_tasks(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"], time_limit=0.4)

    with pytest.raises(TimeLimitExceeded, match=r"0\.4"):
        result.get(timeout=10)


def test_batch_behind_a_hard_limit_is_not_charged_for_it(app, start_worker, marks, measure):
    start_worker("-c", "1")
    measure("worker_tasks.hold")
    measure("worker_tasks.deliveries")
    hold = app.signature("worker_tasks.hold", args=["a"], options={"time_limit": 0.5})
    results = app.send_many([hold, *[app.signature("worker_tasks.deliveries") for _ in range(10)]])

    assert [result.get(timeout=10) for result in results[1:]] == [[0, 0]] * 10
    with pytest.raises(TimeLimitExceeded):
        results[0].get(timeout=10)


def test_solo_refuses_a_hard_limit_in_words(app, start_worker):
    worker = start_worker("-P", "solo", "--time-limit", "5", waits=False)

    assert worker.wait() != 0
    assert "Pool solo cannot honour a hard time limit" in worker.log()


def test_solo_refuses_recycling_in_words(app, start_worker):
    worker = start_worker(
        "-P", "solo", "--max-tasks-per-child", "5", waits=False, NO_HARD_LIMITS="1"
    )

    assert worker.wait() != 0
    assert "--max-tasks-per-child" in worker.log()
