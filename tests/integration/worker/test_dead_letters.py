"""Failures and expired calls that are kept as dead letters, and what becomes of their replay."""

from __future__ import annotations

import pytest

from waiting import eventually
from windlass.control_plane import dead_letters, history
from windlass.control_plane.queue_record import write_record
from windlass.exceptions import TaskRevokedError, TimeLimitExceeded


@pytest.fixture
def start(start_worker):
    return lambda *flags: start_worker("-c", "1", *flags, tasks="dead_letter_tasks")


def letters(app):
    return dead_letters.list_dead(app.broker, "default", 0, 10)


def runs(marks, name):
    """(retries, generation) of each run."""
    return [tuple(map(int, line.split()[1:])) for line in marks.lines(f"{name}.ran")]


def mend(marks, name):
    (marks.folder / f"{name}.mended").touch()


def test_a_task_whose_retries_are_used_up_is_kept_with_its_history_and_replayed_afresh(
    app, start, marks
):
    write_record(app.broker, "default", dead_failed=True)
    worker = start()
    told = app.signature("dead_letter_tasks.tell", immutable=False)
    result = app.send_task("dead_letter_tasks.flaky", ["a"], link_error=told)
    with pytest.raises(ValueError, match="a is broken"):
        result.get(timeout=20)
    eventually(lambda: marks.lines("told"), message="the errback runs")

    (letter,) = letters(app)
    assert (letter.id, letter.reason, letter.retries) == (result.id, "failed", 2)
    assert letter.detail == "ValueError: a is broken"
    attempts = history.attempts_of(app.broker, result.id)
    assert [(each.end, each.retry, each.error) for each in attempts] == [
        ("retried", 0, "ValueError"), ("retried", 1, "ValueError"), ("failed", 2, "ValueError"),
    ]  # fmt: skip
    assert all("fail_unless_mended" in each.traceback for each in attempts)
    assert all(0 < each.started_ms <= each.ended_ms for each in attempts)
    assert {each.worker.split("-")[-2] for each in attempts} == {str(worker.pid)}

    assert dead_letters.replay(app.broker, "default", [result.id]) == 1
    eventually(lambda: letters(app), message="it fails again")
    mend(marks, "a")
    assert dead_letters.replay(app.broker, "default", [result.id]) == 1
    assert app.AsyncResult(result.id).get(timeout=20) == "a"
    assert runs(marks, "a") == [
        (0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (0, 2),
    ]  # fmt: skip
    assert history.attempts_of(app.broker, result.id) == []


def test_a_task_keeps_its_failures_where_the_queue_does_not(app, start, marks):
    start()
    precious = app.send_task("dead_letter_tasks.precious", ["p"])
    plain = app.send_task("dead_letter_tasks.plain", ["q"])
    for result in (precious, plain):
        with pytest.raises(ValueError, match="broken"):
            result.get(timeout=20)

    assert [(letter.id, letter.reason) for letter in letters(app)] == [(precious.id, "failed")]


def test_a_run_over_its_hard_limit_is_kept_too(app, start):
    write_record(app.broker, "default", dead_failed=True)
    start()
    result = app.send_task("dead_letter_tasks.slow")
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=20)

    (letter,) = letters(app)
    (attempt,) = history.attempts_of(app.broker, result.id)
    assert (letter.reason, attempt.end) == ("failed", "failed")
    assert attempt.error.endswith("TimeLimitExceeded")


def test_what_expires_is_kept_and_its_replay_does_not_expire(app, start, marks):
    write_record(app.broker, "default", dead_expired=True)
    result = app.send_task("dead_letter_tasks.after", [1], expires=0.001)
    start()
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)
    (letter,) = letters(app)
    assert (letter.id, letter.reason) == (result.id, "expired")
    assert [each.end for each in history.attempts_of(app.broker, result.id)] == ["expired"]

    dead_letters.replay(app.broker, "default", [result.id])

    assert app.AsyncResult(result.id).get(timeout=20) == 1


def test_replay_of_a_member_that_was_counted_as_failed_does_not_touch_its_workflow(
    app, start, marks
):
    write_record(app.broker, "default", dead_failed=True)
    start()
    first = app.signature("dead_letter_tasks.plain", args=["c"])
    last = (first | app.signature("dead_letter_tasks.after")).apply_async()
    with pytest.raises(ValueError, match="c is broken"):
        last.get(timeout=20)
    (letter,) = letters(app)
    assert letter.id == last.parent.id

    mend(marks, "c")
    dead_letters.replay(app.broker, "default", [letter.id])

    assert app.AsyncResult(letter.id).get(timeout=20) == "c"
    # Nothing follows it: the marker that is sent next is run, and the second step never was.
    marker = app.send_task("dead_letter_tasks.plain", ["c"])
    assert marker.get(timeout=20) == "c"
    assert marks.lines("after.ran") == []
    assert last.state == "FAILURE"
