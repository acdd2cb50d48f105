"""The broker restarts, stands still, or the worker is stopped: nothing lost, nobody twice."""

from __future__ import annotations

import signal

import pytest

from waiting import eventually
from workflow_samples import SentChord


@pytest.fixture
def server(start_redis):
    """A server of the test's own, that keeps its data over a restart."""
    return start_redis({"appendonly": "yes", "appendfsync": "always"})


def test_worker_goes_on_after_the_broker_restarted_and_says_so_once(app, start_worker, server):
    worker = start_worker("-c", "1", lease_s=5)
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=10) == 3
    server.kill()
    eventually(lambda: "broker_connection_lost" in worker.log())
    server.start()

    eventually(lambda: "broker_reconnected" in worker.log())
    assert app.send_task("worker_tasks.add", [2, 2]).get(timeout=10) == 4
    assert worker.log().count("broker_connection_lost") == 1
    assert worker.log().count("broker_reconnected") == 1


def test_outcome_that_was_ready_during_the_outage_is_stored_after_it(
    app, start_worker, marks, server
):
    start_worker("-c", "1", lease_s=30)
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    server.kill()
    marks.go("a")
    eventually(lambda: marks.lines("a.ended"))
    server.start()

    assert result.get(timeout=20) == "a"
    assert len(marks.lines("a.began")) == 1


def test_a_workflow_goes_on_after_the_broker_restarted_in_its_middle(
    app, start_worker, marks, server
):
    start_worker("-c", "1", lease_s=30)
    chord = SentChord(app, ("add", (1, 2)), ("hold", ("a",)))
    marks.began("a")
    server.kill()
    marks.go("a")
    eventually(lambda: marks.lines("a.ended"))
    server.start()

    assert chord.body.get(timeout=20) == [[3, "a"]]
    assert len(marks.lines("gathered")) == 1


def test_worker_that_starts_before_its_broker_waits_for_it(app, start_worker, server):
    server.kill()
    worker = start_worker("-c", "1", waits=False)
    eventually(lambda: "broker_connection_lost" in worker.log())
    server.start()

    assert app.send_task("worker_tasks.add", [2, 2]).get(timeout=20) == 4


def test_paused_broker_costs_no_message_and_no_second_run(app, start_worker, marks, server):
    start_worker("-c", "2", lease_s=10)
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    server.pause()
    marks.go("a")
    eventually(lambda: marks.lines("a.ended"))
    server.resume()

    assert result.get(timeout=20) == "a"
    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2
    assert len(marks.lines("a.began")) == 1


def test_stopped_worker_loses_its_lease_and_its_outcome_is_refused(app, start_worker, marks):
    first = start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    for process in [*first.children()]:
        process.suspend()
    first.send(signal.SIGSTOP)
    start_worker("-c", "1")
    marks.began("a", times=2)  # the lease ran out: the second worker has it
    for process in first.children():
        process.resume()
    first.send(signal.SIGCONT)
    eventually(lambda: "leases_lost" in first.log())
    marks.go("a")

    assert result.get(timeout=20) == "a"
    eventually(lambda: len(marks.lines("a.ended")) == 2)
    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2


def test_asyncio_task_whose_lease_was_lost_is_cancelled(app, start_worker, marks):
    first = start_worker("-c", "2", "-P", "asyncio")
    result = app.send_task("worker_tasks.ahold", ["a"])
    slot_pid = marks.began("a")
    first.send(signal.SIGSTOP)  # the supervisor alone: nobody renews
    start_worker("-c", "2", "-P", "asyncio")
    marks.began("a", times=2)
    first.send(signal.SIGCONT)
    eventually(lambda: "leases_lost" in first.log())
    marks.go("a")

    assert result.get(timeout=20) == "a"
    eventually(lambda: len(marks.lines("a.ended")) == 1)
    assert slot_pid not in marks.pids("a.ended")


def test_drain_ends_although_the_broker_is_away(app, start_worker, marks, server):
    worker = start_worker("-c", "1", WINDLASS_WORKER_DRAIN_TIMEOUT="0.2")
    app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    server.kill()
    worker.send(signal.SIGTERM)

    assert worker.wait(timeout=40) == 1
    assert "their leases will run out" in worker.log()
