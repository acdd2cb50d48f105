"""A TaskQueue as observed -> its record, its Secret, its finalizer's life, its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from operator_builders import NOW_S, make_broker, make_depth, make_queue, make_view
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.set_aside import SetAside
from windlass_operator.desired.names import FINALIZER
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.observed import BrokerError, QueueObserved
from windlass_operator.plan import (
    ApplyObject,
    EmitEvent,
    Plan,
    PurgeQueue,
    SetFinalizer,
    SetStatus,
    WriteRecord,
)
from windlass_operator.reasons import ConditionReason, EventReason
from windlass_operator.reduce_queue import (
    CLEANUP_S,
    queue_conditions,
    reduce_queue,
    wanted_record,
)

DOWN = make_broker(error=BrokerError.UNREACHABLE, detail="no route to host")


def world(queue: TaskQueue | None = None, **values: Any) -> QueueObserved:
    queue = queue or make_queue()
    parts = ("broker", "depth", "conflict", "aside")
    view = {key: values.pop(key) for key in parts if key in values}
    given: dict[str, Any] = {
        "view": make_view(queue=queue, **view),
        "binding_exists": True,
        "binding": {"url": "redis://u:p@r", "keyspace": "shop"},
        **values,
    }
    observed = QueueObserved(queue=queue, **given)
    return observed if "record" in values else replace(observed, record=wanted_record(observed))


def deleted(since_s: float, **spec: Any) -> TaskQueue:
    queue = make_queue(deletionPolicy="Purge", **spec)
    identity = replace(queue.identity, deleted_s=NOW_S - since_s, finalizers=(FINALIZER,))
    return replace(queue, identity=identity)


def writes(plan: Plan) -> list[Any]:
    return [a for a in plan.actions if not isinstance(a, SetStatus)]


def status_of(plan: Plan) -> Mapping[str, Any]:
    return next(a.status for a in plan.actions if isinstance(a, SetStatus))


def ready(plan: Plan) -> Mapping[str, Any]:
    condition: Mapping[str, Any] = status_of(plan)["conditions"][0]
    assert condition["type"] == "Ready"
    return condition


def test_a_queue_that_is_as_wanted_gets_no_write_and_the_status_it_has() -> None:
    first = reduce_queue(world(), NOW_S)
    stored = replace(make_queue(), status=status_of(first))

    again = reduce_queue(world(stored), NOW_S + 600)

    assert writes(first) == []
    assert writes(again) == []
    assert status_of(again) == stored.status
    assert ready(again)["status"] == "True"


def test_only_what_differs_of_the_record_is_written() -> None:
    queue = make_queue(paused=True, maxDeliveries=5)
    record = msgspec.structs.asdict(QueueRecord(paused=False, max_deliveries=5))

    plan = reduce_queue(world(queue, record=record), NOW_S)

    assert writes(plan) == [WriteRecord(queue="emails", changes={"paused": True})]


def test_every_setting_of_the_spec_reaches_the_record_and_leaves_it_again() -> None:
    given = make_queue(
        rateLimit="30/m",
        maxConcurrency=7,
        maxDeliveries=9,
        paused=True,
        deadLetter={"retention": "1d", "parkedAfter": "2h", "expired": True, "failed": True},
    )
    full = QueueRecord(
        paused=True,
        max_deliveries=9,
        dead_retention_s=86_400,
        park_limit_s=7200,
        dead_expired=True,
        dead_failed=True,
        rate_limit="30/m",
        max_concurrency=7,
    )
    fresh = msgspec.structs.asdict(QueueRecord())
    everything = {k: v for k, v in msgspec.structs.asdict(full).items() if k != "generation"}

    assert wanted_record(world(given)) == everything
    assert writes(reduce_queue(world(given, record=fresh), NOW_S)) == [
        WriteRecord(queue="emails", changes=everything)
    ]
    left = writes(reduce_queue(world(make_queue(), record=everything), NOW_S))[0].changes
    assert (left["rate_limit"], left["max_concurrency"], left["park_limit_s"]) == (None, None, 0)


def test_a_record_that_could_not_be_read_is_left_alone() -> None:
    assert writes(reduce_queue(world(record=None), NOW_S)) == []


def test_the_binding_is_written_once_it_is_known_and_again_when_it_changed() -> None:
    plan = reduce_queue(world(binding_exists=False), NOW_S)

    assert [a.manifest["kind"] for a in writes(plan) if isinstance(a, ApplyObject)] == ["Secret"]
    assert writes(reduce_queue(world(binding_exists=False, binding=None), NOW_S)) == []


@pytest.mark.parametrize(
    ("sentence", "policy", "has_it", "expected"),
    [
        ("Purge needs it", "Purge", False, [SetFinalizer(present=True)]),
        ("Purge has it", "Purge", True, []),
        ("Retain never needs it", "Retain", False, []),
        ("Retain after Purge gives it back", "Retain", True, [SetFinalizer(present=False)]),
    ],
)
def test_the_finalizer_is_there_only_while_there_is_something_to_clean_up(
    sentence: str, policy: str, has_it: bool, expected: list[Any]
) -> None:
    queue = make_queue(deletionPolicy=policy)
    finalizers = (FINALIZER,) if has_it else ()
    queue = replace(queue, identity=replace(queue.identity, finalizers=finalizers))

    assert writes(reduce_queue(world(queue), NOW_S)) == expected, sentence


def test_a_deleted_queue_is_purged_and_then_let_go() -> None:
    plan = reduce_queue(world(deleted(1.0)), NOW_S)

    assert [type(action) for action in plan.actions] == [PurgeQueue, EmitEvent, SetFinalizer]
    assert plan.actions[-1] == SetFinalizer(present=False)


@pytest.mark.parametrize("broker", [DOWN, None])
def test_a_broker_that_is_down_holds_a_deletion_for_a_minute_only(broker: Any) -> None:
    soon = reduce_queue(world(deleted(CLEANUP_S - 1), broker=broker), NOW_S)
    later = reduce_queue(world(deleted(CLEANUP_S), broker=broker), NOW_S)

    assert soon.actions == ()
    event, let_go = later.actions
    assert isinstance(event, EmitEvent)
    assert event.reason == EventReason.CLEANUP_ABANDONED
    assert event.is_warning
    assert let_go == SetFinalizer(present=False)


def test_a_purge_that_is_refused_again_and_again_is_given_up_too() -> None:
    """The broker answers, but not this: without an end the namespace would never go."""
    plan = reduce_queue(world(deleted(CLEANUP_S)), NOW_S)

    assert not any(isinstance(action, PurgeQueue) for action in plan.actions)
    assert plan.actions[-1] == SetFinalizer(present=False)


def test_a_deleted_queue_that_is_another_ones_twin_is_let_go_and_nothing_is_purged() -> None:
    plan = reduce_queue(world(deleted(1.0), conflict="older"), NOW_S)

    assert plan.actions == (SetFinalizer(present=False),)


def test_a_deleted_queue_without_the_finalizer_is_left_to_the_api_server() -> None:
    queue = deleted(1.0)
    queue = replace(queue, identity=replace(queue.identity, finalizers=("other",)))

    assert reduce_queue(world(queue), NOW_S).actions == ()


def test_the_younger_of_two_equal_queues_touches_nothing_and_says_why() -> None:
    plan = reduce_queue(world(conflict="older", binding_exists=False, record={}), NOW_S)

    assert writes(plan) == []
    assert ready(plan)["reason"] == ConditionReason.QUEUE_NAME_CONFLICT
    assert "'older'" in ready(plan)["message"]


@pytest.mark.parametrize("error", list(BrokerError))
def test_every_trouble_of_a_broker_is_the_reason_of_not_being_ready(error: BrokerError) -> None:
    plan = reduce_queue(world(broker=make_broker(error=error, detail="words")), NOW_S)

    assert ready(plan)["status"] == "False"
    assert ready(plan)["reason"] == error
    assert ready(plan)["message"] == "words"


def test_a_broker_that_was_not_looked_at_is_unknown_and_not_false() -> None:
    assert ready(reduce_queue(world(broker=None), NOW_S))["status"] == "Unknown"


def test_trouble_of_a_broker_is_an_event_once_and_its_end_another() -> None:
    fails = reduce_queue(world(broker=DOWN), NOW_S)
    failing = replace(make_queue(), status=status_of(fails))
    goes_on = reduce_queue(world(failing, broker=DOWN), NOW_S + 5)
    is_back = reduce_queue(world(failing), NOW_S + 10)

    assert [a.reason for a in writes(fails)] == [EventReason.BROKER_UNREACHABLE]
    assert writes(goes_on) == []
    assert [a.reason for a in writes(is_back)] == [EventReason.BROKER_RECOVERED]


def test_parked_messages_degrade_a_queue() -> None:
    conditions = status_of(reduce_queue(world(depth=make_depth(parked=3)), NOW_S))["conditions"]
    degraded = next(c for c in conditions if c["type"] == "Degraded")

    assert degraded["status"] == "True"
    assert degraded["reason"] == ConditionReason.NO_CAPABLE_WORKER
    assert "3 message(s)" in degraded["message"]


def test_the_tasks_that_no_worker_knows_are_named_some_of_them() -> None:
    aside = SetAside(parked=40, tasks={f"shop.t{n:02}": 40 - n for n in range(13)})
    conditions = queue_conditions(world(depth=make_depth(parked=40), aside=aside))
    message = next(c.message for c in conditions if c.reason == ConditionReason.NO_CAPABLE_WORKER)

    assert "shop.t00 (40), shop.t01 (39)" in message
    assert "shop.t10" not in message
    assert "and 3 more" in message


def test_what_is_not_parked_any_more_degrades_nothing() -> None:
    stale = SetAside(parked=1, tasks={"shop.new": 1})
    conditions = queue_conditions(world(depth=make_depth(parked=0), aside=stale))

    assert ConditionReason.NO_CAPABLE_WORKER not in [c.reason for c in conditions]


def letters(**reasons: int) -> dict[str, Any]:
    total = sum(reasons.values())
    aside = SetAside(dead=total, reasons=reasons) if total else None
    return {"depth": make_depth(dead=total), "aside": aside}


def stored(**reasons: int) -> TaskQueue:
    status = status_of(reduce_queue(world(**letters(**reasons)), NOW_S))
    return replace(make_queue(), status=status)


def test_dead_letters_are_counted_by_reason_in_the_status() -> None:
    status = status_of(reduce_queue(world(**letters(max_deliveries=123, rejected=4)), NOW_S))

    assert status["dead"] == 127
    assert status["deadLetters"] == [
        {"reason": "max_deliveries", "count": 120},
        {"reason": "rejected", "count": 4},
    ]


def test_new_dead_letters_are_one_event_with_their_reasons() -> None:
    plan = reduce_queue(world(stored(rejected=2), **letters(rejected=5, undecodable=1)), NOW_S)

    (event,) = writes(plan)
    assert event.reason == EventReason.DEAD_LETTERED
    assert event.is_warning
    assert "rejected (5 now), undecodable (1 now)" in event.message


@pytest.mark.parametrize(
    ("sentence", "queue", "now"),
    [
        ("the same ones", stored(rejected=2), letters(rejected=2)),
        ("fewer, since some were replayed", stored(rejected=2), letters(rejected=1)),
        ("a queue that was never looked at", make_queue(), letters(rejected=9)),
        ("a status from before they were counted by reason",
         replace(make_queue(), status={"dead": 9}), letters(rejected=9)),
        ("too few more to be news", stored(rejected=500), letters(rejected=505)),
    ],
)  # fmt: skip
def test_no_event_of_dead_letters_for(sentence: str, queue: TaskQueue, now: Any) -> None:
    assert writes(reduce_queue(world(queue, **now), NOW_S)) == [], sentence


def test_the_first_dead_letter_of_a_queue_that_had_none_is_news() -> None:
    plan = reduce_queue(world(stored(), **letters(rejected=1)), NOW_S)

    assert [event.reason for event in writes(plan)] == [EventReason.DEAD_LETTERED]


def test_counts_are_rounded_so_that_small_changes_are_no_news() -> None:
    first = status_of(reduce_queue(world(depth=make_depth(open=12_345)), NOW_S))
    second = status_of(reduce_queue(world(depth=make_depth(open=12_399)), NOW_S))

    assert first["backlog"] == 12_000
    assert first == second


def test_status_fits_the_schema_however_many_pools_serve_the_queue() -> None:
    pools = tuple(f"p{n:03}" for n in range(100))

    assert len(status_of(reduce_queue(world(pools=pools), NOW_S))["pools"]) == 64
