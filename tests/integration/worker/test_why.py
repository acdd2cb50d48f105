"""`windlass why` with a real worker: each reason that one can bring about, seen and gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from waiting import eventually
from windlass import Windlass, chord, signature
from windlass.control_plane.limits import set_limits
from windlass.control_plane.queue_record import write_record
from windlass.why import Cause

NODE = "node-1@here"


def causes(app: Windlass, result) -> list[Cause]:
    return [reason.cause for reason in app.control.why(result.id).reasons]


def becomes(app: Windlass, result, *expected: Cause) -> None:
    def check() -> bool:
        assert causes(app, result) == list(expected)
        return True

    eventually(check, message=f"the reasons are {expected}")


def test_from_an_empty_cluster_to_its_end(app, start_worker, marks):
    first = app.send_task("worker_tasks.hold", ["a"])
    assert causes(app, first) == [Cause.NO_WORKER]

    worker = start_worker("-c", "1", "-n", NODE)
    pid = marks.began("a")
    runs = app.control.why(first.id)
    (reason,) = runs.reasons
    assert (reason.cause, reason.facts["worker"], reason.facts["pid"]) == (
        Cause.RUNNING, NODE, pid,
    )  # fmt: skip
    assert abs(runs.now_ms - reason.facts["since_ms"]) < 60_000

    second = app.send_task("worker_tasks.add", [1, 2])
    third = app.send_task("worker_tasks.add", [1, 2])
    becomes(app, second, Cause.SLOTS_BUSY)
    becomes(app, third, Cause.OTHERS_FIRST, Cause.SLOTS_BUSY)
    assert app.control.why(third.id).reasons[0].facts["ahead"] == 1

    app.control.revoke(third.id)
    assert causes(app, third) == [Cause.REVOKED]
    marks.go("a")
    second.get(timeout=10)
    assert causes(app, second) == [Cause.SUCCEEDED]
    assert worker.is_alive


def test_a_paused_queue_a_later_time_an_expiry_and_a_failure(app, start_worker):
    start_worker("-c", "1")
    write_record(app.broker, "default", paused=True)
    waits = app.send_task("worker_tasks.add", [1, 2])
    later = app.send_task("worker_tasks.add", [1, 2], countdown=600, expires=900)

    assert causes(app, waits) == [Cause.QUEUE_PAUSED]
    assert causes(app, later) == [Cause.SCHEDULED, Cause.QUEUE_PAUSED, Cause.EXPIRES]
    write_record(app.broker, "default", paused=False)
    waits.get(timeout=10)
    assert causes(app, later) == [Cause.SCHEDULED, Cause.EXPIRES]

    fails = app.send_task("worker_tasks.cannot")
    with pytest.raises(ValueError, match="cannot"):
        fails.get(timeout=10)
    (reason,) = app.control.why(fails.id).reasons
    assert reason.cause is Cause.FAILED
    assert "ValueError: cannot" in reason.text


@pytest.mark.parametrize("of", ["queue default", "worker_tasks.hold"])
def test_a_limit_without_room_until_there_is(app, start_worker, marks, of):
    start_worker("-c", "4")
    if of == "queue default":
        write_record(app.broker, "default", max_concurrency=1)
    else:
        set_limits(app.broker, of, max_concurrency=1)
    app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    full = app.send_task("worker_tasks.hold", ["b"])

    becomes(app, full, Cause.LIMITED)
    eventually(
        lambda: app.control.why(full.id).reasons[0].text.startswith(f"Of {of} 1 may run at once"),
        message="the reason is the limit's own",
    )
    marks.go("a")
    marks.began("b")
    becomes(app, full, Cause.RUNNING)
    marks.go("b")


def test_steps_of_a_workflow_wait_for_those_before_them(app, start_worker, marks):
    start_worker("-c", "2")
    members = [signature("worker_tasks.hold", args=(name,), app=app) for name in "ab"]
    body = chord(members, signature("worker_tasks.gather", app=app), app=app).apply_async()
    marks.began("a")
    marks.go("a")
    marks.began("b")
    eventually(
        lambda: len(app.control.why(body.id).reasons[0].facts.get("missing", ())) == 1,
        message="one of two members is there",
    )

    assert causes(app, body) == [Cause.WAITS_FOR_TASKS]
    marks.go("b")
    body.get(timeout=10)
    assert causes(app, body) == [Cause.SUCCEEDED]


def test_crashes_are_attempts_and_end_in_a_dead_letter(app, start_worker, marks):
    start_worker("-c", "1")
    write_record(app.broker, "default", max_deliveries=2)
    doomed = app.send_task("worker_tasks.die", ["a"])
    becomes(app, doomed, Cause.DEAD_LETTER)

    why = app.control.why(doomed.id)
    assert why.reasons[0].facts["reason"] == "max_deliveries"
    assert why.deliveries == 2
    assert [attempt.end for attempt in why.attempts][:2] == ["crashed", "crashed"]
    assert {attempt.signal for attempt in why.attempts[:2]} == {"SIGKILL"}


def test_a_task_acknowledged_at_its_start_is_found_with_its_worker(app, start_worker, marks):
    start_worker("-c", "1", "-n", NODE)
    early = app.send_task("worker_tasks.hold_early", ["a"])
    marks.began("a")

    becomes(app, early, Cause.RUNNING)
    marks.go("a")


def test_a_worker_that_was_killed_has_let_its_lease_run_out(app, start_worker, marks):
    worker = start_worker("-c", "1")
    held = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    worker.children()
    worker.send(signal.SIGKILL)
    worker.end()

    becomes(app, held, Cause.LEASE_EXPIRED)
    start_worker("-c", "1")
    marks.began("a", times=2)
    becomes(app, held, Cause.RUNNING)
    assert app.control.why(held.id).deliveries == 1
    marks.go("a")


def test_the_command_says_it_for_people_and_for_programs(app, server):
    sent = app.send_task("worker_tasks.add", [1, 2], priority=3)
    command = [sys.executable, "-m", "windlass", "-b", server.url, "why"]

    said = subprocess.run([*command, sent.id], capture_output=True, text=True, check=False)
    as_json = subprocess.run(
        [*command, "--json", sent.id, "never"], capture_output=True, text=True, check=False
    )

    heading, reason, counts = said.stdout.splitlines()
    assert said.returncode == 0
    assert heading == f"{sent.id} worker_tasks.add: QUEUED in queue default, state PENDING"
    assert reason.startswith("  No worker serves queue default.")
    assert counts.endswith("priority 3)")
    known, unknown = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert as_json.returncode == 1
    assert known["reasons"][0]["cause"] == "no_worker"
    assert (known["queue"], known["task"], known["priority"]) == (
        "default", "worker_tasks.add", 3,
    )  # fmt: skip
    assert unknown["reasons"][0]["cause"] == "unknown"


def test_queues_name_what_no_worker_knows(app, start_worker, server):
    start_worker("-c", "1")
    unknown = [app.send_task(f"worker_tasks.new_{n}", [1]) for n in (1, 1, 2)]
    for result in unknown:
        becomes(app, result, Cause.NO_WORKER_KNOWS_IT)
    assert "'worker_tasks.new_1'" in app.control.why(unknown[0].id).reasons[0].text
    command = [sys.executable, "-m", "windlass", "-b", server.url, "queues"]

    table, parked, as_json = (
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout
        for more in ((), ("--parked",), ("--json",))
    )

    assert table.splitlines()[-1].endswith("no worker knows worker_tasks.new_1 +1")
    assert [row.split() for row in parked.splitlines()[1:]] == [
        ["default", "worker_tasks.new_1", "2"], ["default", "worker_tasks.new_2", "1"],
    ]  # fmt: skip
    (queue,) = json.loads(as_json)
    assert queue["parked_tasks"] == {"worker_tasks.new_1": 2, "worker_tasks.new_2": 1}
