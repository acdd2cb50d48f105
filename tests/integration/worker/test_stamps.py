"""Tasks that are revoked by a stamp: those that wait, those that run, and those still to come."""

from __future__ import annotations

import signal

import pytest

from waiting import eventually
from windlass.exceptions import TaskRevokedError

STAMPS = {"customer": "c1"}
REVOKED = {"customer": ["c0", "c1"]}


def test_what_waits_ends_as_revoked_with_every_worker_that_meets_it(app, start_worker):
    app.control.revoke_by_stamped_headers(REVOKED)
    for _ in range(2):  # the second worker has heard of no revoke but the broker's
        stamped = app.send_task("worker_tasks.add", [1, 1], stamps=STAMPS)
        plain = app.send_task("worker_tasks.add", [1, 2], stamps={"customer": "c2"})
        worker = start_worker("-c", "1")

        assert plain.get(timeout=10) == 3
        with pytest.raises(TaskRevokedError):
            stamped.get(timeout=10)
        worker.send(signal.SIGTERM)
        worker.wait()


def test_running_task_is_terminated_only_if_that_was_asked_for(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"], stamps=STAMPS)
    marks.began("a")
    app.control.revoke_by_stamped_headers(REVOKED)
    marks.go("a")
    assert result.get(timeout=10) == "a"

    running = app.send_task("worker_tasks.hold", ["b"], stamps={"customer": "c3"})
    marks.began("b")
    running.revoke_by_stamped_headers({"customer": "c3"}, terminate=True, signal="SIGKILL")

    with pytest.raises(TaskRevokedError, match="terminated"):
        running.get(timeout=10)


def test_stamped_task_that_waits_in_a_slot_never_runs(app, start_worker, marks, measure):
    start_worker("-c", "1")
    measure("worker_tasks.hold")
    first = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    second = app.send_task("worker_tasks.hold", ["b"], stamps=STAMPS)
    app.control.revoke_by_stamped_headers(REVOKED)
    eventually(lambda: second.state == "REVOKED")
    marks.go("a")

    assert first.get(timeout=10) == "a"
    assert marks.lines("b.began") == []
