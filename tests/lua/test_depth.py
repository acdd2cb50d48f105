from __future__ import annotations

from broker_state import LEASE_MS, NOW, at, done, fetch, lease, send, settle, snapshot
from windlass.brokers.base import Bury, Park, QueueDepth
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import list_queues, read_depths
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.control_plane.queue_record import write_record


def depth(broker: RedisBroker, queue: str = "q") -> QueueDepth:
    return read_depths(broker, [queue])[0]


def test_an_unknown_queue_is_empty_and_reading_it_makes_nothing(broker: RedisBroker) -> None:
    assert depth(broker) == QueueDepth(queue="q")
    assert read_depths(broker, []) == []
    assert snapshot(broker) == {}


def test_every_place_is_counted_apart(broker: RedisBroker) -> None:
    parked, dead, ended, _held = lease(broker, "parked", "dead", "ended", "held")
    settle(
        broker,
        Park(id="parked", queue="q", token=parked.token, task="t"),
        Bury(id="dead", queue="q", token=dead.token, reason="x", detail="", worker="w"),
        done(ended, duration_ms=2.5),
    )
    send(broker, "one", "two")
    send(broker, "late", delay_ms=700)

    found = depth(broker)
    counts = (found.open, found.parked, found.scheduled, found.leased, found.dead)
    assert counts == (2, 1, 1, 1, 1)
    assert (found.next_due_ms, found.enqueued, found.completed) == (NOW + 700, 7, 1)
    assert found.service_ms == 2.5


def test_due_messages_and_expired_leases_count_as_open_with_no_worker_alive(
    broker: RedisBroker,
) -> None:
    lease(broker, "leased")
    send(broker, "late", delay_ms=LEASE_MS)
    send(broker, "later", delay_ms=LEASE_MS + 1)
    at(broker, NOW + LEASE_MS)

    found = depth(broker)
    assert (found.open, found.scheduled, found.leased) == (2, 1, 0)
    assert found.next_due_ms == NOW + LEASE_MS + 1


def test_oldest_is_the_longest_wait_of_any_priority(broker: RedisBroker) -> None:
    send(broker, "old")
    at(broker, NOW + 300)
    send(broker, "urgent", priority=9)
    at(broker, NOW + 1_000)

    assert depth(broker).oldest_ms == 1_000
    fetch(broker)
    assert depth(broker).oldest_ms == 0


def test_a_scheduled_message_is_as_old_as_it_is_overdue(broker: RedisBroker) -> None:
    send(broker, "late", delay_ms=500)
    at(broker, NOW + 700)
    assert depth(broker).oldest_ms == 200

    send(broker, "other")
    fetch(broker, 1)  # promotes it, and takes the other
    assert depth(broker).oldest_ms == 200


def test_revoked_messages_are_not_open(broker: RedisBroker) -> None:
    send(broker, "a", "b")
    broker.revoke(["a"])

    assert depth(broker).open == 1


def test_started_is_what_workers_report_and_never_more_than_is_leased(broker: RedisBroker) -> None:
    lease(broker, "a", "b", "c")
    beat(broker, WorkerStatus(worker_id="w1", running={"q": 2, "other": 1}), ttl_ms=1_000)
    assert (depth(broker).started, depth(broker).backlog) == (2, 1)

    beat(broker, WorkerStatus(worker_id="w2", running={"q": 9}), ttl_ms=1_000)
    assert depth(broker).started == 3


def test_pause_is_shown_and_hides_nothing(broker: RedisBroker) -> None:
    send(broker, "a")
    write_record(broker, "q", paused=True)

    assert (depth(broker).paused, depth(broker).open) == (True, 1)


def test_queues_are_those_that_ever_held_a_message_or_have_a_record(broker: RedisBroker) -> None:
    send(broker, "a", queue="b")
    send(broker, "b", queue="a", delay_ms=5)
    write_record(broker, "c", paused=True)

    assert list_queues(broker) == ["a", "b", "c"]
