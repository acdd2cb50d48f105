"""A slot or a worker is killed: nothing is lost, nobody else pays, poison ends as a dead letter."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from waiting import eventually
from windlass.control_plane import dead_letters, history
from windlass.exceptions import WorkerLostError

POOLS = ["prefork", "threads", "asyncio"]


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_message_whose_slot_is_killed_runs_again_with_one_more_delivery(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.die_once", ["a"])

    assert result.get(timeout=10) == [1, 0]
    assert len(marks.lines("a.began")) == 2


def test_what_waited_behind_a_killed_message_is_handed_back_without_counting(
    app, start_worker, marks, measure
):
    worker = start_worker("-c", "1")
    measure("worker_tasks.hold")
    measure("worker_tasks.deliveries")
    results = app.send_many(
        [
            app.signature("worker_tasks.hold", args=["a"]),
            *[app.signature("worker_tasks.deliveries") for _ in range(10)],
        ]
    )
    slot_pid = marks.began("a")
    kill(slot_pid)
    assert marks.began("a", times=2) != slot_pid
    marks.go("a")

    assert [result.get(timeout=10) for result in results[1:]] == [[0, 0]] * 10
    assert results[0].get(timeout=10) == "a"
    assert "slot_lost" in worker.log()


@pytest.mark.parametrize("pool", POOLS)
def test_message_that_kills_its_process_ends_as_dead_letter_at_the_cap(
    app, start_worker, marks, pool
):
    start_worker("-c", "1", "-P", pool)
    result = app.send_task("worker_tasks.die", ["a"])

    with pytest.raises(WorkerLostError, match="SIGKILL"):
        result.get(timeout=20)
    assert len(marks.lines("a.began")) == 3
    (letter,) = dead_letters.list_dead(app.broker, "default", 0, 10)
    assert (letter.id, letter.reason) == (result.id, "max_deliveries")
    assert "signal 9 (SIGKILL)" in letter.detail


def test_exit_code_is_the_reason_of_a_process_that_left(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.leave", ["a", 7])

    with pytest.raises(WorkerLostError, match="exit code 7"):
        result.get(timeout=20)


def test_sys_exit_in_a_task_is_its_failure_and_the_slot_lives(app, start_worker):
    worker = start_worker("-c", "1")
    pid = app.send_task("worker_tasks.pid").get(timeout=10)
    app.send_task("worker_tasks.leave_politely").get(timeout=10, propagate=False)

    assert app.send_task("worker_tasks.pid").get(timeout=10) == pid
    assert "slot_lost" not in worker.log()


@pytest.mark.parametrize("pool", ["threads", "asyncio"])
def test_message_that_kills_its_process_never_takes_its_neighbours_with_it(
    app, start_worker, marks, pool
):
    worker = start_worker("-c", "4", "-P", pool)
    task = "worker_tasks.ahold" if pool == "asyncio" else "worker_tasks.hold"
    neighbours = {name: app.send_task(task, [name]) for name in ("n", "m")}
    for name in neighbours:
        marks.began(name)
    killer = app.send_task("worker_tasks.die", ["k"])
    eventually(lambda: "slot_lost" in worker.log(), message="the process dies")
    for name in neighbours:
        marks.go(name)

    assert [each.get(timeout=20) for each in neighbours.values()] == ["n", "m"]
    with pytest.raises(WorkerLostError):
        killer.get(timeout=20)
    assert [len(marks.lines(f"{name}.began")) for name in neighbours] == [2, 2]
    # The first crash, which it shared, counts with the second: it ran as often as it may.
    assert len(marks.lines("k.began")) == 3
    attempts = history.attempts_of(app.broker, killer.id)
    assert [(each.end, each.signal) for each in attempts] == [
        ("suspected", "SIGKILL"), ("crashed", "SIGKILL"), ("crashed", "SIGKILL"),
    ]  # fmt: skip
    assert {each.worker.rpartition("-")[0] for each in attempts} == {
        f"{attempts[0].node}-{worker.pid}"
    }
    (letter,) = dead_letters.list_dead(app.broker, "default", 0, 10)
    assert (letter.id, letter.deliveries) == (killer.id, 3)


def test_suspects_run_beside_nothing_and_the_others_go_on(app, start_worker, marks):
    """While a suspect runs alone, what is new runs in the other process."""
    start_worker("-c", "4", "-P", "threads")
    for name in ("a", "b"):
        app.send_task("worker_tasks.hold", [name])
    pid = marks.began("a")
    assert marks.began("b") == pid
    kill(pid)
    (first,) = eventually(lambda: [n for n in "ab" if len(marks.pids(f"{n}.began")) == 2])
    alone = marks.pids(f"{first}.began")[-1]

    fresh = app.send_task("worker_tasks.pid").get(timeout=10)
    assert fresh != alone
    other = "b" if first == "a" else "a"
    assert len(marks.pids(f"{other}.began")) == 1
    marks.go(first)
    assert marks.began(other, times=2) != fresh
    marks.go(other)


def test_acks_early_message_is_gone_from_the_broker_before_it_begins(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold_early", ["a"])
    marks.began("a")

    assert result.stage == "UNKNOWN"
    marks.go("a")
    assert result.get(timeout=10) == "a"


def test_acks_early_message_is_failed_and_not_run_again_when_its_slot_dies(
    app, start_worker, marks
):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.die_early", ["a"])

    with pytest.raises(WorkerLostError, match="SIGKILL"):
        result.get(timeout=10)
    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2
    assert len(marks.lines("a.began")) == 1


def test_acks_early_message_is_never_run_again_when_the_worker_is_lost(app, start_worker, marks):
    worker = start_worker("-c", "1")
    app.send_task("worker_tasks.hold_early", ["a"])
    marks.began("a")
    late = app.send_task("worker_tasks.hold", ["b"])
    worker.children()
    kill(worker.pid)
    start_worker("-c", "1")

    marks.began("b")  # what was acknowledged late comes back, in the order of the queue
    marks.go("b")
    assert late.get(timeout=20) == "b"
    assert len(marks.lines("a.began")) == 1


def test_acks_early_message_can_retry(app, start_worker):
    start_worker("-c", "1")

    assert app.send_task("worker_tasks.retry_early").get(timeout=10) == "again"


def test_many_acks_early_messages_all_run_once(app, start_worker):
    start_worker("-c", "2")
    results = [app.send_task("worker_tasks.add_early", [n, 0]) for n in range(50)]

    assert [result.get(timeout=20) for result in results] == list(range(50))


def test_slots_and_zygote_end_with_their_killed_supervisor(app, start_worker, marks):
    worker = start_worker("-c", "2")
    app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    tree = worker.children()
    assert len(tree) == 3
    kill(worker.pid)

    _, alive = psutil.wait_procs(tree, timeout=5)
    assert alive == []


def test_killed_workers_tasks_are_finished_by_another_within_a_lease(app, start_worker, marks):
    lost = start_worker("-c", "2")
    results = [app.send_task("worker_tasks.hold", [name]) for name in "abcd"]
    marks.began("a")
    marks.began("b")
    start_worker("-c", "2")
    marks.began("c")
    marks.began("d")
    lost.children()
    kill(lost.pid)
    for name in "abcd":
        marks.go(name)

    assert [result.get(timeout=20) for result in results] == list("abcd")
    assert len(marks.lines("a.began")) == 2


def test_killed_zygote_makes_the_worker_finish_and_leave(app, start_worker, marks):
    worker = start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    slot_pid = marks.began("a")
    (zygote,) = [p for p in psutil.Process(worker.pid).children() if p.pid != slot_pid]
    worker.children()
    zygote.kill()
    eventually(lambda: "zygote_lost" in worker.log())
    marks.go("a")

    assert result.get(timeout=10) == "a"
    assert worker.wait() == 1
