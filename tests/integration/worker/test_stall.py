"""Nothing waits behind a task that runs long: the supervisor takes it back."""

from __future__ import annotations

import os
import signal

from waiting import eventually


def test_batch_behind_a_long_task_moves_to_another_slot(app, start_worker, marks, measure):
    start_worker("-c", "2")
    measure("worker_tasks.hold")
    measure("worker_tasks.quick")
    # Two slots, one busy: sent in one go, so that some are dealt behind the long one.
    calls = [app.signature("worker_tasks.quick", args=[f"w{n}"]) for n in range(40)]
    hold = app.signature("worker_tasks.hold", args=["a"])
    results = app.send_many([*calls[:20], hold, *calls[20:]])
    marks.began("a")

    quick = [result for result in results if result.id != results[20].id]
    assert [r.get(timeout=10) for r in quick] == [f"w{n}" for n in range(40)]
    assert marks.lines("a.ended") == []
    marks.go("a")
    assert results[20].get(timeout=10) == "a"


def test_batch_behind_a_long_task_goes_back_to_the_broker_when_no_slot_is_free(
    app, start_worker, marks, measure, depth_of
):
    worker = start_worker("-c", "1")
    measure("worker_tasks.hold")
    measure("worker_tasks.quick")
    app.send_many(
        [
            app.signature("worker_tasks.hold", args=["a"]),
            *[app.signature("worker_tasks.quick", args=[f"w{n}"]) for n in range(20)],
        ]
    )
    marks.began("a")
    assert depth_of().leased == 21

    eventually(lambda: depth_of().open == 20)
    assert depth_of().leased == 1
    assert "slot_stalled" in worker.log()


def test_batch_behind_a_stopped_process_is_taken_back(app, start_worker, marks, measure, depth_of):
    worker = start_worker("-c", "1")
    measure("worker_tasks.hold")
    measure("worker_tasks.quick")
    app.send_many(
        [
            app.signature("worker_tasks.hold", args=["a"]),
            *[app.signature("worker_tasks.quick", args=[f"w{n}"]) for n in range(20)],
        ]
    )
    os.kill(marks.began("a"), signal.SIGSTOP)
    eventually(lambda: depth_of().open == 20)
    assert "slot_stalled" in worker.log()
    other = start_worker("-c", "1")

    eventually(lambda: all(marks.lines(f"w{n}.began") for n in range(20)))
    assert other.is_alive


def test_unmeasured_tasks_are_leased_one_to_a_lane(app, start_worker, marks, depth_of):
    start_worker("-c", "2")
    app.send_many([app.signature("worker_tasks.hold", args=[name]) for name in "abcdef"])
    marks.began("a")
    marks.began("b")

    assert (depth_of().leased, depth_of().open) == (2, 4)
