"""Receivers of a message's signals run in the process that runs its task."""

from __future__ import annotations

from waiting import eventually


def test_receivers_run_where_the_task_runs_and_never_in_the_supervisor(app, start_worker, marks):
    worker = start_worker("-c", "1", tasks="signal_tasks")
    slot = app.send_task("signal_tasks.pid", task_id="good").get(timeout=20)
    app.send_task("signal_tasks.refuse", task_id="bad")
    app.send_task("signal_tasks.pid", ["too", "many"], task_id="wrong", ignore_result=True)
    eventually(lambda: len(marks.lines("told")) >= 4, message="the receivers are told")

    assert slot != worker.pid
    assert marks.lines("told") == [
        f"{slot} received good",
        f"{slot} received bad",
        f"{slot} rejected bad Reject",
        f"{slot} received wrong",
    ]
