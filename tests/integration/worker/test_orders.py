"""Revoke, cordon, park, rate limit, STARTED: what a worker is told and what it tells."""

from __future__ import annotations

import pytest

from waiting import eventually
from windlass.control_plane import cordon, heartbeats
from windlass.exceptions import TaskRevokedError
from windlass.messages import Headers, Outgoing, address, encode_tail
from windlass.redis_store.resp import packed

POOLS = ["prefork", "threads", "asyncio"]


@pytest.mark.parametrize("signal", ["SIGTERM", "SIGKILL", "SIGUSR1"])
@pytest.mark.parametrize("pool", POOLS)
def test_running_task_is_terminated_by_revoke(app, start_worker, marks, pool, signal):
    start_worker("-c", "1", "-P", pool)
    result = app.send_task("worker_tasks.hold", ["a"])
    pid = marks.began("a")
    app.control.revoke(result.id, terminate=True, signal=signal)

    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=10)
    assert app.send_task("worker_tasks.pid").get(timeout=10) != pid
    assert marks.lines("a.ended") == []


def test_running_task_is_left_alone_by_a_revoke_without_terminate(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    app.control.revoke(result.id)
    marks.go("a")

    assert result.get(timeout=10) == "a"


def test_task_that_waits_in_a_slot_is_revoked_and_never_runs(app, start_worker, marks, measure):
    start_worker("-c", "1")
    measure("worker_tasks.hold")
    calls = [app.signature("worker_tasks.hold", args=[name]) for name in "abc"]
    first, second, third = app.send_many(calls)
    marks.began("a")
    app.control.revoke(second.id)
    eventually(lambda: second.state == "REVOKED")
    for name in "abc":
        marks.go(name)

    assert first.get(timeout=10) == "a"
    assert third.get(timeout=10) == "c"
    assert marks.lines("b.began") == []


def test_neighbours_of_a_terminated_task_are_handed_back(app, start_worker, marks):
    start_worker("-c", "2", "-P", "threads")
    victim = app.send_task("worker_tasks.hold", ["v"])
    neighbour = app.send_task("worker_tasks.hold", ["n"])
    marks.began("v")
    marks.began("n")
    app.control.revoke(victim.id, terminate=True)
    with pytest.raises(TaskRevokedError):
        victim.get(timeout=10)
    marks.began("n", times=2)
    marks.go("n")

    assert neighbour.get(timeout=10) == "n"


def test_cordoned_worker_takes_nothing_until_it_is_uncordoned(app, start_worker, depth_of):
    worker = start_worker("-c", "1")
    (status,) = heartbeats.read_workers(app.broker)
    cordon.cordon(app.broker, status.worker_id, 60_000)
    # One that was on its way when the cordon came may still be taken; then none.
    result = app.send_task("worker_tasks.add", [1, 1])
    eventually(lambda: "worker_cordoned" in worker.log())
    result = app.send_task("worker_tasks.add", [1, 2])
    assert depth_of().open >= 1
    assert not result.ready()
    cordon.uncordon(app.broker, status.worker_id)

    assert result.get(timeout=10) == 3


def test_cordoned_worker_says_at_once_and_again_that_it_is_empty(app, start_worker):
    # Two heartbeats of their own are 100 s apart.
    start_worker("-c", "1", lease_s=300)
    (status,) = heartbeats.read_workers(app.broker)

    def told(after_ms: int) -> heartbeats.WorkerStatus | None:
        (now,) = heartbeats.read_workers(app.broker)
        is_news = now.cordoned_since_ms and not now.held and now.seen_ms > after_ms
        return now if is_news else None

    cordon.cordon(app.broker, status.worker_id, 60_000)
    first = eventually(lambda: told(0), 10)
    cordon.cordon(app.broker, status.worker_id, 60_000)
    eventually(lambda: told(first.seen_ms), 10)
    cordon.uncordon(app.broker, status.worker_id)

    eventually(lambda: not heartbeats.read_workers(app.broker)[0].cordoned_since_ms, 10)


def test_unknown_task_is_parked_and_taken_by_a_worker_that_knows_it(app, start_worker, depth_of):
    tail = encode_tail(address("default", "other.task"), Headers(), b"[[],{},{}]")
    app.broker.enqueue([Outgoing(id="x1", queue="default", tail=tail)])
    start_worker("-c", "1")

    eventually(lambda: depth_of().parked == 1)
    assert app.send_task("worker_tasks.add", [1, 1]).get(timeout=10) == 2


def test_parked_message_of_a_known_task_is_unparked_at_start(app, start_worker):
    result = app.send_task("worker_tasks.add", [1, 1])
    park_it(app, result.id)
    assert result.stage == "PARKED"
    start_worker("-c", "1")

    assert result.get(timeout=10) == 2


def park_it(app, message_id):
    from windlass.brokers.base import FetchRequest, Park

    request = FetchRequest(worker_id="older", queues=("default",), want=1, lease_ms=5000)
    _, fetched = app.broker.exchange([], request)
    (delivery,) = fetched.deliveries
    park = Park(id=message_id, queue="default", token=delivery.token, task="worker_tasks.add")
    assert app.broker.exchange([park], None)[0] == []


def test_rate_limit_spaces_the_starts_of_a_task_and_holds_up_no_other(app, start_worker, marks):
    start_worker("-c", "2")
    limited = app.send_many([app.signature("worker_tasks.limited", args=[n]) for n in range(15)])
    free = app.send_many([app.signature("worker_tasks.add", args=[n, 0]) for n in range(15)])

    assert [result.get(timeout=20) for result in free] == list(range(15))
    assert sorted(result.get(timeout=20) for result in limited) == list(range(15))
    starts = sorted(float(line.split()[1]) for line in marks.lines("limited"))
    # 20 a second: the first may go at once, the others 50 ms apart; their processes start late.
    assert starts[-1] - starts[0] > 14 * 0.05 * 0.8


def test_started_is_stored_while_a_tracked_task_runs(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.tracked", ["a"])
    pid = marks.began("a")

    eventually(lambda: result.state == "STARTED")
    assert result.info["pid"] == pid
    marks.go("a")
    assert result.get(timeout=10) == "a"


def test_heartbeat_names_what_runs(app, start_worker, marks):
    start_worker("-c", "2")
    app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")

    def status():
        (only,) = heartbeats.read_workers(app.broker)
        return only

    eventually(lambda: status().running == {"default": 1})
    assert (status().slots, status().busy, status().pool) == (2, 1, "prefork")


def test_rejected_message_is_a_dead_letter(app, start_worker, depth_of):
    start_worker("-c", "1")
    app.send_task("worker_tasks.refuse")

    eventually(lambda: depth_of().dead == 1)


def test_revoke_that_no_worker_heard_is_found_by_the_tombstone(app, start_worker, marks):
    start_worker("-c", "1")
    result = app.send_task("worker_tasks.hold", ["a"])
    marks.began("a")
    keys = app.broker.keys
    # As after a revoke during an outage: the marks are there, the hint was never published.
    app.broker.links.call(
        [
            packed("ZADD", keys.revoked, str(2**53), result.id),
            packed("HSET", keys.signals, result.id, "SIGKILL"),
        ]
    )

    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=10)
