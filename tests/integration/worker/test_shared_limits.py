"""Limits that all workers share, on real workers: never exceeded, nothing lost, nobody held up."""

from __future__ import annotations

import signal

import pytest

from waiting import eventually
from windlass.control_plane.limits import list_limits, why_blocked
from windlass.control_plane.queue_record import write_record

SOON = 30  # seconds: bounds a failing test


@pytest.fixture
def limited(app):
    """The sender's side, with the tasks' options."""
    return lambda name: f"limited_tasks.{name}"


@pytest.fixture
def start(start_worker):
    return lambda *flags, **env: start_worker(*flags, tasks="limited_tasks", **env)


def spans(marks, name):
    """(began, ended) of each run so far, in the order of their beginning."""
    return sorted(tuple(map(float, line.split())) for line in marks.lines(name))


def most_at_once(found):
    edges = sorted([(began, 1) for began, _ in found] + [(ended, -1) for _, ended in found])
    running = most = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


def wait_for(marks, name, count):
    eventually(
        lambda: len(marks.lines(name)) == count, timeout=SOON, message=f"{count} runs of {name}"
    )


def test_a_rate_is_of_all_workers_together_and_holds_up_no_other_task(app, start, marks, limited):
    for _ in range(2):
        start("-c", "2")
    for n in range(60):
        app.send_task(limited("rated"), [n])
    for _ in range(20):
        app.send_task(limited("free"))
    wait_for(marks, "rated", 60)
    starts = [began for began, _ in spans(marks, "rated")]
    free = [began for began, _ in spans(marks, "free")]

    # 50/s come five at once; what is leased may begin a little later than it was.
    assert starts[-1] - starts[0] > 0.8 * (60 - 5) / 50
    assert len([at for at in free if at < starts[-1]]) == 20


def test_scope_worker_is_a_limit_of_each_worker(app, start, marks, limited):
    start("-c", "2")
    for n in range(10):
        app.send_task(limited("rated_here"), [n])
    wait_for(marks, "rated_here", 10)
    starts = [began for began, _ in spans(marks, "rated_here")]

    assert starts[-1] - starts[0] > 0.8 * 9 / 50
    assert limited("rated_here") not in {view.task for view in list_limits(app.broker)}


def test_no_more_run_at_once_than_max_concurrency(app, start, marks, limited):
    for _ in range(2):
        start("-c", "3")
    for _ in range(40):
        app.send_task(limited("narrow"))
    wait_for(marks, "narrow", 40)

    assert most_at_once(spans(marks, "narrow")) == 2


def test_one_run_of_each_key_at_once_whoever_sends_it(app, start, marks, limited):
    for _ in range(2):
        start("-c", "3")
    for n in range(30):
        app.send_task(limited("of_user"), [f"u{n % 3}"])  # the sender does not know the task
    for n in range(3):
        wait_for(marks, f"user-u{n}", 10)

    assert [most_at_once(spans(marks, f"user-u{n}")) for n in range(3)] == [1, 1, 1]


def test_a_key_that_depends_on_a_result_is_found_by_the_worker(app, start, marks, limited):
    start("-c", "2")
    first = app.signature(limited("pass_on"), ["u9"])
    (first | app.signature(limited("of_user"))).apply_async()

    wait_for(marks, "user-u9", 1)


def test_a_key_with_much_to_do_does_not_delay_another(app, start, marks, limited):
    @app.task(name=limited("shared"), limit_key="{0}", fair_share=True)
    def shared(user, n):
        """What the sender knows of it."""

    write_record(app.broker, "default", paused=True)
    for n in range(300):
        shared.delay("big", n)
    for n in range(10):
        shared.delay("small", n)
    start("-c", "1")
    write_record(app.broker, "default", paused=False)
    wait_for(marks, "shared", 310)
    users = [line.split()[0] for line in marks.lines("shared")]

    last = len(users) - users[::-1].index("small")
    assert last <= 60, "ten of the small key come within a few turns"


def test_the_slot_of_a_killed_worker_is_free_again(app, start, marks, limited):
    lost = start("-c", "1")
    app.send_task(limited("alone"), ["first"])
    eventually(lambda: marks.lines("alone") == ["first"], message="the first one runs")
    app.send_task(limited("alone"), ["second"])
    lost.children()
    lost.send(signal.SIGKILL)
    lost.end()
    marks.go("first")
    marks.go("second")

    start("-c", "1")
    eventually(lambda: len(marks.lines("alone")) == 3, timeout=SOON, message="both run")
    eventually(lambda: sum(v.running for v in list_limits(app.broker)) == 0, message="all free")


def test_a_slot_that_is_freed_wakes_an_idle_worker_at_once(app, start, marks, limited, depth_of):
    busy = start("-c", "1")
    first = app.send_task(limited("alone"), ["first"])
    eventually(lambda: marks.lines("alone") == ["first"], message="the first one runs")
    second = app.send_task(limited("alone"), ["second"])
    start("-c", "1")
    eventually(lambda: depth_of().blocked == 1, message="the second one is blocked")
    (reason,) = why_blocked(app.broker, second.id)
    assert (reason.kind, reason.in_use) == ("task_concurrency", 1)
    assert why_blocked(app.broker, first.id) == []

    busy.send(signal.SIGTERM)  # it ends its run, and takes no other
    marks.go("first")
    marks.go("second")
    eventually(lambda: marks.lines("alone") == ["first", "second"], timeout=4, message="no polling")


def test_a_limit_that_is_set_counts_at_once_for_every_worker(app, start, marks, limited):
    start("-c", "3")
    app.control.rate_limit(limited("free"), "1/h", reply=True)
    for _ in range(3):
        app.send_task(limited("free"))
    wait_for(marks, "free", 1)
    (view,) = [view for view in list_limits(app.broker) if view.task == limited("free")]
    assert (view.limits.rate_limit, view.overridden) == ("1/h", ("rate_limit",))

    app.control.rate_limit(limited("free"), 0, reply=True)
    wait_for(marks, "free", 3)
