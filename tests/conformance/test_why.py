"""Facts of a message, wherever it is: the same of every broker."""

from __future__ import annotations

from broker_samples import Sample, bury
from broker_state import FINAL, LEASE_MS, NOW, fetch, lease, send, settle
from builders import make_message
from windlass.brokers.base import Crashed, Park
from windlass.continuations import Continuation, Release
from windlass.control_plane.explain import explain
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.control_plane.queue_record import write_record
from windlass.control_plane.set_aside import SetAside, read_set_aside
from windlass.control_plane.why_facts import Facts
from windlass.control_plane.why_reading import read_facts
from windlass.control_plane.why_reasons import Cause
from windlass.states import Stage

WORKER = WorkerStatus(worker_id="w1", hostname="windlass@a", queues=["q"], slots=2, busy=2)


def facts_of(brokers: Sample, message_id: str) -> Facts:
    facts = read_facts(brokers.broker, message_id)
    assert facts.stage == brokers.broker.stage(message_id)
    return facts


def causes(facts: Facts) -> list[Cause]:
    return [reason.cause for reason in explain(facts)]


def test_what_waits_knows_how_many_come_first(brokers: Sample) -> None:
    send(brokers.broker, "a", "b", "c")
    send(brokers.broker, "urgent", "sooner", priority=9)
    send(brokers.broker, "elsewhere", queue="other")

    facts = facts_of(brokers, "b")

    assert facts.ahead == 3
    assert (facts.task, facts.enqueued_ms, facts.priority) == ("tests.noop", NOW, 0)
    assert facts_of(brokers, "urgent").ahead == 0
    assert causes(facts) == [Cause.NO_WORKER, Cause.OTHERS_FIRST]


def test_workers_of_its_queue_and_its_record_are_known(brokers: Sample) -> None:
    beat(brokers.broker, WORKER, 60_000)
    beat(brokers.broker, WorkerStatus(worker_id="w2", queues=["other"]), 60_000)
    write_record(brokers.broker, "q", paused=True, park_limit_s=60)
    send(brokers.broker, "a")

    facts = facts_of(brokers, "a")

    assert facts.queue is not None
    assert [worker.worker_id for worker in facts.queue.workers] == ["w1"]
    assert (facts.queue.record.paused, facts.queue.record.park_limit_s) == (True, 60)
    assert causes(facts) == [Cause.QUEUE_PAUSED, Cause.SLOTS_BUSY]


def test_what_is_scheduled_knows_when_and_what_has_expired_that(brokers: Sample) -> None:
    send(brokers.broker, "a", delay_ms=5000, ttl_ms=9000, priority=4)

    facts = facts_of(brokers, "a")
    brokers.at(NOW + 9000)
    late = facts_of(brokers, "a")

    assert (facts.stage, facts.due_ms, facts.expires_ms) == (
        Stage.SCHEDULED,
        NOW + 5000,
        NOW + 9000,
    )
    assert causes(facts) == [Cause.SCHEDULED, Cause.NO_WORKER, Cause.EXPIRES]
    assert causes(late) == [Cause.EXPIRED, Cause.NO_WORKER]


def test_what_is_parked_is_known_and_counted_by_task(brokers: Sample) -> None:
    (delivery,) = lease(brokers.broker, "a")
    settle(brokers.broker, Park(id="a", queue="q", token=delivery.token, task="tests.new"))

    facts = facts_of(brokers, "a")
    assert facts.parked_ms == NOW
    assert causes(facts) == [Cause.NO_WORKER_KNOWS_IT, Cause.NO_WORKER]
    assert read_set_aside(brokers.broker, ["q"]) == [SetAside(parked=1, tasks={"tests.new": 1})]


def test_a_lease_knows_its_end_and_a_revoke_beside_it(brokers: Sample) -> None:
    lease(brokers.broker, "a")
    brokers.broker.revoke(["a"], result_for=lambda _: FINAL)

    facts = facts_of(brokers, "a")
    brokers.at(NOW + LEASE_MS + 1)

    assert (facts.stage, facts.lease_ms) == (Stage.LEASED, NOW + LEASE_MS)
    assert facts.lease_worker == "w1"
    assert causes(facts) == [Cause.REVOKED, Cause.LEASED]
    assert causes(facts_of(brokers, "a")) == [Cause.REVOKED, Cause.LEASE_EXPIRED]


def test_a_dead_letter_knows_its_reason_and_the_crash_before(brokers: Sample) -> None:
    (first,) = lease(brokers.broker, "a")
    crash = Crashed(id="a", queue="q", token=first.token, reason="signal 9", worker="w1")
    settle(brokers.broker, crash)
    (again,) = fetch(brokers.broker).deliveries
    settle(brokers.broker, bury(again))

    facts = facts_of(brokers, "a")

    assert facts.stage is Stage.DEAD
    assert facts.obituary is not None
    assert (facts.obituary.reason, facts.obituary.detail) == ("undecodable", "no JSON")
    assert facts.obituary.at_ms == NOW
    assert facts.counters.deliveries == 1
    assert read_set_aside(brokers.broker, ["q"])[0].reasons == {"undecodable": 1}


def test_a_full_queue_is_the_reason_before_what_comes_first(brokers: Sample) -> None:
    beat(brokers.broker, WORKER, 60_000)
    write_record(brokers.broker, "q", max_concurrency=1)
    lease(brokers.broker, "a")
    send(brokers.broker, "b", "c")

    facts = facts_of(brokers, "c")

    assert [(gate.kind, gate.limit, gate.in_use) for gate in facts.blocked] == [
        ("queue_concurrency", 1, 1)
    ]
    assert causes(facts) == [Cause.LIMITED, Cause.OTHERS_FIRST, Cause.SLOTS_BUSY]


def test_a_step_that_was_not_sent_names_what_it_waits_for(brokers: Sample) -> None:
    release = Release(id="body", queue="q", address=b"", headers=b"{}", before=b"[]")
    waits = Continuation(id="body", releases=(release,), members=("a", "b"))
    brokers.broker.enqueue([make_message(id="a", queue="q")], continuations=[waits])

    facts = facts_of(brokers, "body")

    assert facts.waits_for is not None
    assert facts.waits_for.members == ("a", "b")
    assert causes(facts) == [Cause.WAITS_FOR_TASKS]


def test_an_unknown_id_and_one_revoked_before_it_came(brokers: Sample) -> None:
    brokers.broker.revoke(["never"], result_for=lambda _: FINAL)

    assert causes(facts_of(brokers, "nothing")) == [Cause.UNKNOWN]
    assert causes(facts_of(brokers, "never")) == [Cause.REVOKED]
