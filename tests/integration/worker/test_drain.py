"""TERM, INT, QUIT, HUP: what runs, what waits, and what is handed back."""

from __future__ import annotations

import signal

import pytest

from waiting import eventually
from windlass.control_plane import heartbeats


def test_term_lets_a_running_task_finish_and_hands_back_what_has_not_begun(
    app, start_worker, marks, depth_of
):
    worker = start_worker("-c", "1")
    running = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    waiting = app.send_task("worker_tasks.hold", ["b"])
    worker.send(signal.SIGTERM)

    eventually(lambda: "worker_draining" in worker.log())
    assert depth_of().open == 1
    marks.go("a")

    assert worker.wait() == 0
    assert running.get(timeout=5) == "a"
    assert marks.lines("b.began") == []
    assert waiting.stage == "QUEUED"


def test_batch_in_a_slot_is_back_in_the_queue_while_the_head_still_runs(
    app, start_worker, marks, measure, depth_of
):
    worker = start_worker("-c", "1")
    measure("worker_tasks.hold")
    measure("worker_tasks.quick")
    quick = [app.signature("worker_tasks.quick", args=[f"w{n}"]) for n in range(20)]
    _, *results = app.send_many([app.signature("worker_tasks.hold", args=["a"]), *quick])
    marks.began("a")
    assert depth_of().leased == 21
    worker.send(signal.SIGTERM)

    eventually(lambda: depth_of().open == 20)
    assert not any(marks.lines(f"w{n}.began") for n in range(20))
    marks.go("a")

    assert worker.wait() == 0
    start_worker("-c", "1")
    assert [result.get(timeout=10) for result in results] == [f"w{n}" for n in range(20)]


def test_drain_time_out_hands_the_running_task_back_counted_as_handback_only(
    app, start_worker, marks
):
    worker = start_worker("-c", "1", WINDLASS_WORKER_DRAIN_TIMEOUT="0.3")
    result = app.send_task("worker_tasks.hold", ["a"])
    slot_pid = marks.began("a")
    worker.send(signal.SIGTERM)

    assert worker.wait() == 0
    assert marks.lines("a.ended") == []
    assert result.stage == "QUEUED"
    assert app.broker.links.call(
        [
            b"*3\r\n$4\r\nHGET\r\n%s$%d\r\n%s\r\n"
            % (_bulk(app.broker.keys.attempts), len(result.id), result.id.encode())
        ]
    ) == [b"0:1"]
    assert slot_pid != worker.pid


def _bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGQUIT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGQUIT)],
    ids=["QUIT", "INT twice", "TERM then QUIT"],
)
def test_cold_stop_hands_everything_back_at_once(app, start_worker, marks, signals, depth_of):
    worker = start_worker("-c", "2")
    for name in ("a", "b", "c"):
        app.send_task("worker_tasks.hold", [name])
    marks.began("a")
    marks.began("b")
    for signum in signals:
        worker.send(signum)
        eventually(lambda: "worker_draining" in worker.log())

    assert worker.wait() == 0
    assert depth_of().open == 3
    assert depth_of().leased == 0


def test_second_term_changes_nothing(app, start_worker, marks):
    worker = start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    worker.send(signal.SIGTERM)
    eventually(lambda: "worker_draining" in worker.log())
    worker.send(signal.SIGTERM)
    marks.go("a")

    assert worker.wait() == 0
    assert result.get(timeout=5) == "a"


def test_hup_finishes_what_runs_and_starts_again_with_the_same_pid(app, start_worker, marks):
    worker = start_worker("-c", "1")
    before = heartbeats.read_workers(app.broker)[0].worker_id
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    worker.send(signal.SIGHUP)
    eventually(lambda: "worker_draining" in worker.log())
    marks.go("a")

    assert result.get(timeout=10) == "a"
    eventually(
        lambda: [w.worker_id for w in heartbeats.read_workers(app.broker)] not in ([], [before])
    )
    assert app.send_task("worker_tasks.add", [1, 2]).get(timeout=10) == 3
    assert worker.is_alive


def test_stopped_worker_says_goodbye(app, start_worker):
    worker = start_worker("-c", "1", lease_s=60)
    worker.send(signal.SIGTERM)

    assert worker.wait() == 0
    assert heartbeats.read_workers(app.broker) == []


def test_idle_worker_stops_within_a_second(app, start_worker):
    worker = start_worker("-c", "2")
    eventually(
        lambda: app.broker.links.call([b"*2\r\n$6\r\nCLIENT\r\n$4\r\nLIST\r\n"])[0].count(b"blpop")
    )
    worker.send(signal.SIGTERM)

    assert worker.wait(timeout=3) == 0


def test_terminal_interrupt_reaches_the_supervisor_and_no_slot(app, start_worker, marks):
    worker = start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    # What a terminal does on Ctrl-C, and systemd on stop: the signal goes to all of them.
    for process in [*worker.children()]:
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
    worker.send(signal.SIGINT)
    marks.go("a")

    assert result.get(timeout=10) == "a"
    assert worker.wait() == 0
