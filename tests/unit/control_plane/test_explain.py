"""Facts of a message -> why it is not running: every state, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from windlass.attempts import Counters
from windlass.continuations import Waiting
from windlass.control_plane.explain import explain
from windlass.control_plane.heartbeats import WorkerStatus
from windlass.control_plane.limits import BlockedBy
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.why_facts import (
    MOST_AHEAD,
    Facts,
    Holder,
    Obituary,
    Outcome,
    Queue,
)
from windlass.control_plane.why_reasons import Cause, Reason
from windlass.states import Stage

NOW = 1_700_000_000_000  # 2023-11-14T22:13:20Z
IDLE = WorkerStatus(worker_id="w1", hostname="windlass@a", queues=["mail"], slots=4, busy=1)
BUSY = WorkerStatus(worker_id="w2", hostname="windlass@b", queues=["mail"], slots=4, busy=4)
ONE = WorkerStatus(worker_id="w3", hostname="windlass@c", queues=["mail"], slots=1, busy=1)
LEAVING = WorkerStatus(
    worker_id="w4", hostname="windlass@d", queues=["mail"], slots=4, cordoned_since_ms=NOW
)
DRAINING = WorkerStatus(
    worker_id="w5", hostname="windlass@e", queues=["mail"], slots=4, draining=True
)


def queue(*workers: WorkerStatus, **record: Any) -> Queue:
    return Queue(name="mail", record=QueueRecord(**record), workers=workers)


def make_facts(stage: Stage = Stage.QUEUED, **values: Any) -> Facts:
    given: dict[str, Any] = {"task": "shop.send", "queue": queue(IDLE), "ahead": None, **values}
    return Facts(id="m1", now_ms=NOW, stage=stage, **given)


def absent(stage: Stage = Stage.UNKNOWN, **values: Any) -> Facts:
    return Facts(id="m1", now_ms=NOW, stage=stage, **values)


def ended(state: str, **values: Any) -> Facts:
    outcome = Outcome(state=state, ended_ms=NOW - 90_000, **values)
    return absent(Stage.DONE, outcome=outcome)


def limited(kind: str, stage: Stage = Stage.BLOCKED, **values: Any) -> Facts:
    gate = values.pop("gate", "shop.send")
    return make_facts(stage, blocked=(BlockedBy(gate=gate, kind=kind, **values),))


TABLE: list[tuple[str, Facts, Sequence[Cause], Sequence[str]]] = [
    # what waits in its queue
    ("nothing keeps it", make_facts(), [Cause.ABOUT_TO_START], ["queue mail", "next fetch"]),
    ("it is the first, and there is room", make_facts(ahead=0), [Cause.ABOUT_TO_START], []),
    ("others come first", make_facts(ahead=12), [Cause.OTHERS_FIRST], ["12 other messages"]),
    ("one comes first", make_facts(ahead=1), [Cause.OTHERS_FIRST], ["1 other message", "comes"]),
    ("far behind", make_facts(ahead=MOST_AHEAD), [Cause.OTHERS_FIRST], ["10,000 or more"]),
    ("no worker serves the queue", make_facts(queue=queue()), [Cause.NO_WORKER],
     ["No worker serves queue mail", "-Q mail", "kubectl get wp"]),
    ("all slots are busy", make_facts(queue=queue(BUSY, ONE)), [Cause.SLOTS_BUSY],
     ["All 5 slots of 2 workers", "maxReplicas"]),
    ("the only slot is busy", make_facts(queue=queue(ONE)), [Cause.SLOTS_BUSY],
     ["The only slot of 1 worker of queue mail is busy"]),
    ("busy, and others come first", make_facts(queue=queue(BUSY), ahead=3),
     [Cause.OTHERS_FIRST, Cause.SLOTS_BUSY], ["3 other"]),
    ("all slots are leased, which the heartbeats do not say yet",
     make_facts(queue=Queue(name="mail", workers=(IDLE,), leased=5)),
     [Cause.SLOTS_BUSY], ["All 4 slots of 1 worker"]),
    ("one of two workers has room", make_facts(queue=queue(BUSY, IDLE)),
     [Cause.ABOUT_TO_START], []),
    ("all workers are leaving", make_facts(queue=queue(LEAVING, DRAINING)),
     [Cause.WORKERS_CORDONED], ["2 workers of queue mail are told to take nothing more"]),
    ("the one that stays is busy", make_facts(queue=queue(LEAVING, ONE)),
     [Cause.SLOTS_BUSY], ["The only slot of 1 worker"]),
    ("the queue is paused", make_facts(queue=queue(IDLE, paused=True)), [Cause.QUEUE_PAUSED],
     ["Queue mail is paused", "windlass queues set mail --no-paused"]),
    ("paused and nobody there", make_facts(queue=queue(paused=True)),
     [Cause.QUEUE_PAUSED, Cause.NO_WORKER], []),
    ("the queue is full", limited("queue_concurrency", Stage.QUEUED, gate="mail", limit=10,
                                  in_use=10),
     [Cause.LIMITED], ["Of queue mail 10 may run at once, and 10 do"]),
    ("the queue's rate", limited("queue_rate", Stage.QUEUED, gate="mail", limit="2/m",
                                 next_at_ms=NOW + 29_000),
     [Cause.LIMITED], ["rate limit of queue mail (2/m)", "22:13:49Z, in 29s"]),
    # limits of tasks and keys
    ("the task's rate", limited("task_rate", limit="10/s", next_at_ms=NOW + 100),
     [Cause.LIMITED], ["rate limit of shop.send (10/s)", "in 100ms"]),
    ("the task's concurrency", limited("task_concurrency", limit=5, in_use=5, ahead=3),
     [Cause.LIMITED], ["Of shop.send 5 may run at once, and 5 do", "3 that wait for the same"]),
    ("the key's concurrency", limited("key_concurrency", gate="shop.send[c-17]", limit=1,
                                      in_use=1),
     [Cause.LIMITED], ["Of shop.send[c-17] 1 may run at once"]),
    ("the turn of other keys", limited("turn"), [Cause.NOT_ITS_TURN], ["take turns"]),
    ("a limit of another kind", limited("weekday", limit="mon"), [Cause.LIMITED],
     ["A limit of shop.send has no room (mon)"]),
    ("there is room again", make_facts(Stage.BLOCKED), [Cause.LIMITED], ["room again"]),
    ("limited, and nobody there",
     make_facts(Stage.BLOCKED, queue=queue(),
                blocked=(BlockedBy(gate="shop.send", kind="task_concurrency", limit=1, in_use=1),)),
     [Cause.LIMITED, Cause.NO_WORKER], []),
    # what waits for its time, or for a worker that knows it
    ("its time has not come", make_facts(Stage.SCHEDULED, due_ms=NOW + 310_000),
     [Cause.SCHEDULED], ["due at 2023-11-14T22:18:30Z, in 5m10s"]),
    ("a retry", make_facts(Stage.SCHEDULED, due_ms=NOW + 1000, retries=2),
     [Cause.SCHEDULED], ["That is retry 2"]),
    ("scheduled, in a paused queue without workers",
     make_facts(Stage.SCHEDULED, due_ms=NOW + 1000, queue=queue(paused=True)),
     [Cause.SCHEDULED, Cause.QUEUE_PAUSED, Cause.NO_WORKER], []),
    ("due, and nobody has looked", make_facts(Stage.SCHEDULED, due_ms=NOW - 1, queue=queue()),
     [Cause.NO_WORKER], []),
    ("due, and there is room", make_facts(Stage.SCHEDULED, due_ms=NOW - 1),
     [Cause.ABOUT_TO_START], []),
    ("no worker knows its task", make_facts(Stage.PARKED), [Cause.NO_WORKER_KNOWS_IT],
     ["knows the task 'shop.send'", "deploy the code"]),
    ("parked, but not for ever", make_facts(Stage.PARKED, parked_ms=NOW,
                                             queue=queue(IDLE, park_limit_s=7200)),
     [Cause.NO_WORKER_KNOWS_IT],
     ["since 2023-11-14T22:13:20Z, uncounted", "At 2023-11-15T00:13:20Z it becomes a dead"]),
    ("parked, and nobody there", make_facts(Stage.PARKED, queue=queue()),
     [Cause.NO_WORKER_KNOWS_IT, Cause.NO_WORKER], []),
    # its expiry, and marks against it
    ("it will expire", make_facts(expires_ms=NOW + 60_000),
     [Cause.ABOUT_TO_START, Cause.EXPIRES], ["expires at 2023-11-14T22:14:20Z, in 1m00s"]),
    ("it has expired", make_facts(expires_ms=NOW, queue=queue(BUSY)),
     [Cause.EXPIRED, Cause.SLOTS_BUSY], ["ends it as REVOKED, without running it"]),
    ("it has expired and is kept", make_facts(expires_ms=NOW, queue=queue(dead_expired=True)),
     [Cause.EXPIRED, Cause.NO_WORKER], ["makes it a dead letter"]),
    ("revoked where it waits", make_facts(is_revoked=True, queue=queue()),
     [Cause.REVOKED, Cause.NO_WORKER], ["drops it"]),
    # who has it
    ("it runs", make_facts(Stage.LEASED, holder=Holder(node="windlass@a", is_running=True,
                                                       since_ms=NOW - 12_000, pid=77)),
     [Cause.RUNNING], ["runs on windlass@a in process 77 since 2023-11-14T22:13:08Z, for 12s"]),
    ("it runs, since nobody knows when",
     make_facts(Stage.LEASED, holder=Holder(node="windlass@a", is_running=True)),
     [Cause.RUNNING], ["It runs on windlass@a."]),
    ("a worker has it and has not begun",
     make_facts(Stage.LEASED, holder=Holder(node="windlass@a", is_running=False)),
     [Cause.HELD], ["windlass@a has it", "next free slot"]),
    ("its worker did not say that it has it",
     make_facts(Stage.LEASED, lease_ms=NOW + 5000, lease_worker="w@a-77-1f"),
     [Cause.LEASED], ["Worker w@a has it", "good until 2023-11-14T22:13:25Z"]),
    ("its worker is gone", make_facts(Stage.LEASED, lease_ms=NOW - 5000),
     [Cause.LEASE_EXPIRED], ["A worker had it", "5s ago", "hands it out again"]),
    ("its worker is gone, and there is no other",
     make_facts(Stage.LEASED, lease_ms=NOW - 5000, queue=queue()),
     [Cause.LEASE_EXPIRED], ["as soon as one does"]),
    ("revoked while it runs",
     make_facts(Stage.LEASED, is_revoked=True, holder=Holder(node="a", is_running=True)),
     [Cause.REVOKED, Cause.RUNNING], ["--terminate"]),
    # it is over
    ("it succeeded", ended("SUCCESS"), [Cause.SUCCEEDED], ["1m30s ago"]),
    ("it succeeded on", ended("SUCCESS", worker="windlass@a"), [Cause.SUCCEEDED],
     ["on windlass@a"]),
    ("it failed", ended("FAILURE", error="ValueError: no"), [Cause.FAILED],
     ["failed for good", "ValueError: no", "windlass result --traceback m1"]),
    ("it was revoked", ended("REVOKED", error="TaskRevokedError: revoked"), [Cause.REVOKED],
     ["was revoked, or expired"]),
    ("it is a dead letter",
     make_facts(Stage.DEAD, obituary=Obituary(reason="max_deliveries", detail="signal 9",
                                              at_ms=NOW - 1)),
     [Cause.DEAD_LETTER],
     ["reason max_deliveries: signal 9", "windlass dlq show m1", "replay -Q mail m1"]),
    # it is not here
    ("nothing is known of it", absent(), [Cause.UNKNOWN], ["never sent here", "keyspace"]),
    ("revoked before it came", absent(is_revoked=True), [Cause.REVOKED], ["should it still"]),
    ("two tasks of its workflow are missing",
     absent(waits_for=Waiting(id="m1", members=("a", "b", "c"), arrived=(1,), sends=("m1",))),
     [Cause.WAITS_FOR_TASKS], ["2 of 3 tasks of its workflow have ended: a, c."]),
    ("the step before it is missing",
     absent(waits_for=Waiting(id="m1", members=("a",), arrived=(), sends=("m1",))),
     [Cause.WAITS_FOR_TASKS], ["1 task of its workflow has ended: a."]),
    ("many tasks are missing",
     absent(waits_for=Waiting(id="m1", members=tuple(map(str, range(2000))), arrived=(), sends=())),
     [Cause.WAITS_FOR_TASKS], ["2,000 of 2,000", "0, 1, 2, 3, 4 and 1,995 more"]),
    ("acknowledged at its start, and it runs",
     absent(outcome=Outcome(state="STARTED"), holder=Holder(node="a", is_running=True)),
     [Cause.RUNNING], []),
    ("acknowledged at its start, and nobody has it", absent(outcome=Outcome(state="STARTED")),
     [Cause.ENDED], ["STARTED", "acks_late=False"]),
    ("its bytes cannot be read", make_facts(is_readable=False), [Cause.UNREADABLE], []),
    ("a dead letter that cannot be read",
     make_facts(Stage.DEAD, is_readable=False, obituary=Obituary(reason="undecodable")),
     [Cause.UNREADABLE, Cause.DEAD_LETTER], []),
    # remarks
    ("a process died under it", make_facts(counters=Counters(is_suspect=True)),
     [Cause.ABOUT_TO_START, Cause.SUSPECT], ["runs alone"]),
    ("handed back again and again", make_facts(counters=Counters(handbacks=7)),
     [Cause.ABOUT_TO_START, Cause.HANDED_BACK], ["7 times", "drainTimeout"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "causes", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_every_state_has_its_reasons(
    facts: Facts, causes: Sequence[Cause], words: Sequence[str]
) -> None:
    reasons = explain(facts)
    said = " ".join(reason.text for reason in reasons)

    assert [reason.cause for reason in reasons] == list(causes)
    assert [word for word in words if word not in said] == [], said


def test_every_cause_is_in_the_table() -> None:
    assert {cause for _, _, causes, _ in TABLE for cause in causes} == set(Cause)


def test_every_stage_has_an_answer_whatever_else_is_missing() -> None:
    for stage in Stage:
        for facts in (absent(stage), make_facts(stage, queue=None)):
            reasons = explain(facts)
            assert reasons, stage
            assert all(isinstance(reason, Reason) for reason in reasons)


def test_reasons_carry_their_numbers_for_programs() -> None:
    (reason,) = explain(make_facts(Stage.SCHEDULED, due_ms=NOW + 5000))

    assert reason.facts == {"due_ms": NOW + 5000, "in_ms": 5000}


@pytest.mark.parametrize("row", TABLE, ids=[row[0] for row in TABLE])
def test_texts_are_sentences(row: Any) -> None:
    for reason in explain(row[1]):
        assert reason.text[0].isupper() or reason.text[0].isdigit(), reason.text
        assert reason.text.endswith((".", "`")), reason.text
        assert "  " not in reason.text, reason.text
