"""`app.control.why` with the worker inside the test: as on a real broker."""

from __future__ import annotations

import threading

from waiting import eventually
from windlass.contrib.testing.app import TestApp
from windlass.contrib.testing.worker import start_worker
from windlass.why import Cause

SOON = 20  # seconds: bounds a failing test, never slows a passing one


def test_a_task_says_why_it_waits_that_it_runs_and_how_it_ended() -> None:
    began, go = threading.Event(), threading.Event()
    with TestApp() as app:

        @app.task(name="t.hold")
        def hold() -> None:
            began.set()
            assert go.wait(SOON)

        first, later = hold.delay(), hold.apply_async(countdown=600)
        assert app.control.why(first.id).cause is Cause.NO_WORKER
        with start_worker(app):
            assert began.wait(SOON)
            running = app.control.why(first.id)
            second = hold.delay()
            eventually(
                lambda: app.control.why(second.id).cause in (Cause.SLOTS_BUSY, Cause.HELD),
                message="the only slot is busy",
            )
            go.set()
            second.get(timeout=SOON)

            assert running.cause is Cause.RUNNING
            assert (running.task, running.queue) == ("t.hold", "default")
            assert app.control.why(second.id).cause is Cause.SUCCEEDED
            assert app.control.why(later.id).cause is Cause.SCHEDULED
