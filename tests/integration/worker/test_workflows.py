"""Workflows in real workers: whatever happens to a member, what waits for it goes on or fails."""

from __future__ import annotations

import os
import signal

import pytest

from waiting import eventually
from windlass.exceptions import (
    ChordError,
    TaskRevokedError,
    TimeLimitExceeded,
    WorkerLostError,
)
from workflow_samples import SentChord as Chord
from workflow_samples import body_hole, member, release, wait_for

QUEUE = {"queue": "default"}


@pytest.mark.parametrize("pool", ["prefork", "threads", "asyncio", "solo"])
def test_values_reach_the_body_and_failures_its_errback_in_every_pool(
    app, start_worker, marks, pool
):
    start_worker("-c", "1", "-P", pool, NO_HARD_LIMITS="1")
    good = Chord(app, ("add", (1, 2)), ("add", (3, 4)), ("add_early", (5, 6)))

    assert good.body.get(timeout=60) == [[3, 7, 11]]

    good.body.forget()
    bad = Chord(app, ("add", (1, 2)), ("cannot", ()))
    with pytest.raises(ChordError, match=r"Dependency m1 raised ValueError\('cannot'\)") as caught:
        bad.body.get(timeout=60)
    assert isinstance(caught.value.__cause__, ValueError)
    assert len(marks.lines("gathered")) == 1


def test_a_worker_that_is_killed_in_the_middle_of_a_workflow_loses_no_step(
    app, start_worker, marks
):
    worker = start_worker("-c", "2")
    chord = Chord(app, ("add", (1, 2)), ("hold", ("a",)), ("hold", ("b",)))
    marks.began("a")
    marks.began("b")
    worker.children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    start_worker("-c", "2")
    marks.began("a", times=2)
    marks.go("a")
    marks.go("b")
    assert chord.body.get(timeout=60) == [[3, "a", "b"]]
    assert len(marks.lines("gathered")) == 1


def test_workers_killed_again_and_again_lose_and_double_no_step(app, start_worker, marks):
    ids = [f"s{n}" for n in range(30)]
    then = None
    continuations = []
    for before, id_ in zip(reversed(ids[:-1]), reversed(ids[1:]), strict=True):
        source = "" if before == "s0" else f"k-{before}"
        made = wait_for(
            [before],
            release(id_, then=then, task="worker_tasks.gather", **QUEUE),
            sources=[source],
        )
        continuations.append(made)
        then = made.then(0)
    app.broker.enqueue(
        [member("s0", then, task="worker_tasks.gather", **QUEUE)], continuations=continuations
    )

    for _ in range(3):
        enough = min(len(marks.lines("gathered")) + 1, 30)
        worker = start_worker("-c", "1", "-q")
        eventually(lambda enough=enough: len(marks.lines("gathered")) >= enough)
        worker.children()
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        worker.end()
    start_worker("-c", "1")

    depth = 0
    value = app.AsyncResult("s29").get(timeout=60)
    while value:
        (value,) = value
        depth += 1
    assert depth == 29


@pytest.mark.parametrize(
    ("call", "cause"),
    [
        (("die", ("x",)), WorkerLostError),
        (("hard", ("x",)), TimeLimitExceeded),
        (("refuse", ()), None),
        (("die_early", ("x",)), WorkerLostError),
    ],
)
def test_whatever_ends_a_member_fails_the_body(app, start_worker, call, cause):
    start_worker("-c", "1")
    chord = Chord(app, ("add", (1, 2)), call)

    with pytest.raises(ChordError) as caught:
        chord.body.get(timeout=60)
    assert cause is None or isinstance(caught.value.__cause__, cause)


def test_a_member_that_is_terminated_fails_the_body(app, start_worker, marks):
    start_worker("-c", "1")
    chord = Chord(app, ("hold", ("a",)))
    marks.began("a")
    chord.parts[0].revoke(terminate=True, signal="SIGKILL")

    with pytest.raises(ChordError) as caught:
        chord.body.get(timeout=60)
    assert isinstance(caught.value.__cause__, TaskRevokedError)


def test_a_step_of_an_unknown_task_fails_with_what_came_before_it(app, start_worker):
    start_worker("-c", "1")
    chord = Chord(app, ("cannot", ()), body="nobody.knows")

    with pytest.raises(ChordError):
        chord.body.get(timeout=60)


def test_who_runs_an_acknowledged_member_and_dies_is_found_by_the_sweep(app, start_worker, marks):
    worker = start_worker("-c", "1")
    chord = Chord(app, ("hold_early", ("a",)))
    marks.began("a")
    start_worker("-c", "1", WINDLASS_TASK_JOIN_LOST_AFTER="1")
    worker.children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    with pytest.raises(ChordError) as caught:
        chord.body.get(timeout=60)
    assert isinstance(caught.value.__cause__, WorkerLostError)
    assert len(marks.lines("a.began")) == 1


def test_without_a_result_backend_workflows_go_on(app, start_worker, marks):
    start_worker("-c", "1", WINDLASS_RESULT_BACKEND="disabled://")
    Chord(app, ("add", (1, 2)), ("nothing", ()))

    eventually(lambda: marks.lines("gathered"))
    assert marks.lines("gathered")[0].endswith("([3, None],)")


def test_a_member_whose_message_vanished_is_found_by_a_worker(app, start_worker, server):
    waits = wait_for(
        ["gone"], release("body", hole=body_hole(1), task="worker_tasks.gather", **QUEUE)
    )
    app.broker.enqueue([], continuations=[waits])
    worker = start_worker("-c", "1", WINDLASS_TASK_JOIN_LOST_AFTER="1")

    with pytest.raises(ChordError, match="gone"):
        app.AsyncResult("body").get(timeout=60)
    assert "workflows_swept" in worker.log()
