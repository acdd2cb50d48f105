"""A cordon that nobody works on and that does not go is said: its worker takes nothing."""

from __future__ import annotations

from typing import Any

from operator_builders import (
    NOW_S,
    make_deployment,
    make_observed,
    make_pod,
    make_pool,
    make_worker,
)
from windlass_operator.models.workerpool import WorkerPool
from windlass_operator.observed import PoolObserved
from windlass_operator.plan import EmitEvent, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reasons import ConditionReason, EventReason
from windlass_operator.reduce_pool import PoolOutcome, reduce_pool
from windlass_operator.scale_down import ScaleDown
from windlass_operator.victims import Victim

SINCE_MS = int(NOW_S * 1000)


def world(pool: WorkerPool | None = None, **changes: Any) -> PoolObserved:
    """A pool of one worker that is told to take nothing since NOW_S."""
    worker = {"cordoned_since_ms": SINCE_MS, **changes}
    return make_observed(
        pool or make_pool(replicas=1),
        deployments=(make_deployment(),),
        pods=(make_pod(),),
        workers=(make_worker(**worker),),
    )


def ticks(
    observed: PoolObserved, times: range, memory: PoolMemory | None = None
) -> tuple[list[PoolOutcome], list[EmitEvent]]:
    outcomes, said = [], []
    memory = memory or PoolMemory()
    for time in times:
        outcomes.append(reduce_pool(observed, memory, NOW_S + time))
        memory = outcomes[-1].memory
        said += [
            action
            for action in outcomes[-1].plan.actions
            if isinstance(action, EmitEvent) and action.reason == EventReason.CORDON_STUCK
        ]
    return outcomes, said


def warning(outcome: PoolOutcome) -> str:
    status = next(a.status for a in outcome.plan.actions if isinstance(a, SetStatus))
    found = [c for c in status["conditions"] if c["type"] == "Warning"]
    return found[0]["reason"] if found else ""


def test_a_cordon_older_than_two_minutes_is_a_warning_and_one_event() -> None:
    outcomes, said = ticks(world(), range(0, 300, 5))

    first = next(n for n, outcome in enumerate(outcomes) if warning(outcome))
    assert first * 5 == 120
    assert all(warning(one) == ConditionReason.CORDON_STUCK for one in outcomes[first:])
    assert [event.is_warning for event in said] == [True]
    assert "emails-0" in said[0].message


def test_a_cordon_of_a_scale_down_under_way_may_be_old() -> None:
    victims = (Victim(pod="emails-0", worker_id="emails-0@1", since_s=NOW_S),)
    busy = ScaleDown(deployment="emails", victims=victims)
    memory = PoolMemory(scale_downs={"emails": busy})
    pool = make_pool(replicas=0)

    outcome = reduce_pool(world(pool, busy=1), memory, NOW_S + 30)
    again = reduce_pool(world(pool, busy=1), outcome.memory, NOW_S + 59)

    assert outcome.memory.scale_downs
    assert outcome.memory.cordons == again.memory.cordons == {}


def test_what_a_scale_down_has_just_let_go_is_given_time_to_say_so() -> None:
    """The heartbeat that shows the cordon may be older than the end of the scale-down."""
    _, said = ticks(world(), range(600, 629, 5))
    assert said == []

    _, said = ticks(world(), range(600, 640, 5))
    assert len(said) == 1


def test_a_worker_that_ends_is_not_stuck() -> None:
    outcomes, said = ticks(world(draining=True), range(0, 300, 5))

    assert said == []
    assert warning(outcomes[-1]) == ""


def test_a_cordon_of_a_paused_pool_is_said_too() -> None:
    _, said = ticks(world(make_pool(replicas=1, paused=True)), range(0, 300, 5))

    assert len(said) == 1


def test_a_cordon_that_went_is_said_no_more_and_a_new_one_is_news() -> None:
    outcomes, _ = ticks(world(), range(0, 300, 5))
    outcomes, said = ticks(world(cordoned_since_ms=0), range(300, 310, 5), outcomes[-1].memory)
    assert warning(outcomes[-1]) == ""
    assert said == []

    _, said = ticks(world(), range(310, 400, 5), outcomes[-1].memory)
    assert len(said) == 1
