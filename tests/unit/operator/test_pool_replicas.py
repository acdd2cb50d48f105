"""Replicas of a pool's Deployments: foreign writers, rollouts beside each other, floors."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import msgspec

from operator_builders import (
    NOW_S,
    make_deployment,
    make_observed,
    make_pod,
    make_pool,
    make_worker,
)
from windlass_operator.observed import DeploymentView, PoolObserved
from windlass_operator.plan import (
    CordonWorker,
    DeleteObject,
    EmitEvent,
    SetReplicas,
    UncordonWorker,
)
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.pool_replicas import (
    ASKED_AGAIN_S,
    SETTLE_S,
    TRUCE_S,
    Replicas,
    plan_replicas,
)
from windlass_operator.reasons import EventReason
from windlass_operator.scale_down import ScaleDown
from windlass_operator.scaling.decide import Reason, ScaleDecision
from windlass_operator.scaling.stabilize import Hold, Memory
from windlass_operator.victims import Victim


def decision(replicas: int) -> ScaleDecision:
    return ScaleDecision(
        replicas=replicas,
        wanted=replicas,
        unbounded=replicas,
        reason=Reason.STEADY,
        message="",
        hold=Hold.NONE,
        memory=Memory(since_s=0.0, last_active_s=0.0),
    )


def plan(
    current: DeploymentView,
    memory: PoolMemory,
    wanted: int,
    now_s: float = NOW_S,
    **values: Any,
) -> Replicas:
    old = values.pop("old", ())
    observed: PoolObserved = make_observed(deployments=(current, *old), **values)
    return plan_replicas(observed, memory, current, decision(wanted), now_s)


def scales(result: Replicas) -> dict[str, int]:
    return {a.deployment: a.replicas for a in result.actions if isinstance(a, SetReplicas)}


def events(result: Replicas) -> list[str]:
    return [a.reason for a in result.actions if isinstance(a, EmitEvent)]


def settled(name: str, replicas: int, before: int | None = None) -> PoolMemory:
    return PoolMemory(
        replicas_set={name: replicas},
        set_from={name: (replicas if before is None else before, NOW_S - 1000)},
    )


def test_growth_is_set_at_once_and_remembered() -> None:
    result = plan(make_deployment(replicas=2), PoolMemory(), 5)

    assert scales(result) == {"emails": 5}
    assert result.memory.replicas_set == {"emails": 5}


def test_fewer_replicas_of_somebody_else_are_set_back() -> None:
    result = plan(make_deployment(replicas=2), settled("emails", 5), 5)

    assert scales(result) == {"emails": 5}
    assert events(result) == [EventReason.REPLICA_CONFLICT]
    assert not result.in_conflict


def test_more_replicas_of_somebody_else_are_scaled_in_without_stopping_a_busy_worker() -> None:
    pods = tuple(make_pod(f"p{n}") for n in range(4))
    workers = (*(make_worker(f"p{n}", busy=1) for n in range(3)), make_worker("p3"))

    result = plan(make_deployment(replicas=4), settled("emails", 2), 2, pods=pods, workers=workers)

    assert scales(result) == {}
    assert events(result) == [EventReason.REPLICA_CONFLICT]
    assert next(a.worker_id for a in result.actions if isinstance(a, CordonWorker)) == "p3@1"


def test_our_own_write_that_is_not_seen_yet_is_nobody_elses() -> None:
    first = plan(make_deployment(replicas=2), PoolMemory(), 5)
    still_two = plan(make_deployment(replicas=2), first.memory, 5, NOW_S + 1)
    then_five = plan(make_deployment(replicas=5), still_two.memory, 5, NOW_S + 2)
    set_back = plan(make_deployment(replicas=2), then_five.memory, 5, NOW_S + 2 + SETTLE_S)

    assert events(still_two) == []
    assert events(then_five) == []
    assert events(set_back) == [EventReason.REPLICA_CONFLICT]


def test_after_three_corrections_there_is_a_truce_and_then_one_more() -> None:
    memory = settled("emails", 5)
    corrected_at = []
    conflict_at = []
    for tick in range(0, 700, 5):
        result = plan(make_deployment(replicas=2), memory, 5, NOW_S + tick)
        memory = result.memory
        if scales(result):
            corrected_at.append(tick)
        if result.in_conflict:
            conflict_at.append(tick)
            assert result.desired == (2 if not scales(result) else 5)
        memory = replace(
            memory, set_from={name: (9, at) for name, (_, at) in memory.set_from.items()}
        )

    assert corrected_at[:3] == [0, 5, 10]
    assert all(b - a >= TRUCE_S for a, b in itertools.pairwise(corrected_at[2:]))
    assert conflict_at[0] == 15
    assert conflict_at == list(range(15, 700, 5)), "the condition must not flap"


def test_a_conflict_that_has_ended_is_forgotten() -> None:
    memory = replace(settled("emails", 5), conflicts=9, corrected_s=NOW_S - 2 * TRUCE_S)

    calm = plan(make_deployment(replicas=5), memory, 5)
    again = plan(make_deployment(replicas=2), calm.memory, 5, NOW_S + 1)

    assert not calm.in_conflict
    assert scales(again) == {"emails": 5}
    assert again.memory.conflicts == 1


def test_a_refused_scale_down_does_not_count_as_somebody_elses() -> None:
    """The guard refused it: the count of before is the count that was set."""
    pods = (make_pod("p0"), make_pod("p1", is_ready=False))
    workers = (
        make_worker("p0", busy=1, seen_ms=9),
        make_worker("p1", cordoned_since_ms=1, seen_ms=9),
    )
    world: dict[str, Any] = {"pods": pods, "workers": workers}
    deployment = make_deployment(replicas=2, ready=1)
    memory = settled("emails", 2)
    result = plan(deployment, memory, 1, **world)
    for beat, at_s in ((10, 5.0), (11, 10.0)):
        beaten = tuple(msgspec.structs.replace(worker, seen_ms=beat) for worker in workers)
        result = plan(deployment, result.memory, 1, NOW_S + at_s, pods=pods, workers=beaten)
    assert scales(result) == {"emails": 1}

    changed = replace(deployment, resource_version="101")
    all_busy = tuple(make_worker(name, busy=1, seen_ms=12) for name in ("p0", "p1"))
    for at_s in (15.0, 100.0, 200.0):
        result = plan(
            changed, result.memory, 2, NOW_S + at_s, pods=(make_pod("p0"), make_pod("p1")),
            workers=all_busy,
        )  # fmt: skip
        assert events(result) == []
        assert scales(result) == {}


def test_an_old_version_works_on_until_the_new_one_is_ready() -> None:
    new = make_deployment("emails-new", replicas=3, ready=1, version="new", created_s=2.0)
    old = make_deployment("emails-old", replicas=3, version="old", created_s=1.0)
    pods = tuple(make_pod(f"o{n}", deployment="emails-old") for n in range(3))
    workers = tuple(make_worker(f"o{n}") for n in range(3))

    result = plan(new, PoolMemory(), 3, old=(old,), pods=pods, workers=workers)

    assert len([a for a in result.actions if isinstance(a, CordonWorker)]) == 1


def test_a_new_version_that_never_gets_ready_leaves_the_old_one_alone() -> None:
    new = make_deployment("emails-new", replicas=3, ready=0, version="new", created_s=2.0)
    old = make_deployment("emails-old", replicas=3, version="old", created_s=1.0)
    pods = tuple(make_pod(f"o{n}", deployment="emails-old") for n in range(3))
    workers = tuple(make_worker(f"o{n}") for n in range(3))

    result = plan(new, PoolMemory(), 3, old=(old,), pods=pods, workers=workers)

    assert not any(isinstance(a, CordonWorker | SetReplicas | DeleteObject) for a in result.actions)


def test_busy_workers_of_an_old_version_are_kept_however_long_they_take() -> None:
    new = make_deployment("emails-new", replicas=1, version="new", created_s=2.0)
    old = make_deployment("emails-old", replicas=1, version="old", created_s=1.0)
    pods = (make_pod("o0", deployment="emails-old", is_ready=False),)
    memory = PoolMemory()
    for hour in range(48):
        workers = (make_worker("o0", busy=1, cordoned_since_ms=1, seen_ms=hour + 1),)
        result = plan(new, memory, 1, NOW_S + hour * 3600, old=(old,), pods=pods, workers=workers)
        memory = result.memory
        assert scales(result) == {}
        assert not any(isinstance(a, UncordonWorker) for a in result.actions)


def test_an_old_version_without_workers_is_removed_and_said() -> None:
    new = make_deployment("emails-new", replicas=1, created_s=2.0)
    old = make_deployment("emails-old", replicas=0, version="old", created_s=1.0)

    result = plan(new, PoolMemory(), 1, old=(old,))

    assert DeleteObject(api_version="apps/v1", kind="Deployment", name="emails-old") in (
        result.actions
    )
    assert events(result) == [EventReason.OLD_VERSION_DRAINED]


def test_versions_older_than_the_kept_ones_are_stopped() -> None:
    pool = make_pool(rollout={"strategy": "Drain", "maxOldVersions": 1})
    new = make_deployment("n", replicas=1, created_s=3.0)
    older = [
        make_deployment(name, replicas=2, created_s=at) for name, at in (("b", 2.0), ("a", 1.0))
    ]

    result = plan_replicas(
        make_observed(pool, deployments=(new, *older)), PoolMemory(), new, decision(1), NOW_S
    )

    assert scales(result) == {"a": 0}


def test_replicas_of_deployments_that_are_gone_are_forgotten() -> None:
    """Else a pool at zero would never count as asleep, and no wake signal would be waited for."""
    memory = replace(settled("emails", 0), replicas_set={"emails": 0, "emails-old": 4})

    result = plan(make_deployment(replicas=0), memory, 0)

    assert result.memory.replicas_set == {"emails": 0}


def test_a_floor_holds_for_one_window_and_no_longer() -> None:
    pods = tuple(make_pod(f"p{n}") for n in range(3))
    workers = tuple(make_worker(f"p{n}") for n in range(3))
    memory = replace(settled("emails", 3), floors={"emails": (3, NOW_S + 300)})
    deployment = make_deployment(replicas=3)

    held = plan(deployment, memory, 1, pods=pods, workers=workers)
    later = plan(deployment, held.memory, 1, NOW_S + 301, pods=pods, workers=workers)

    assert held.actions == ()
    assert any(isinstance(a, CordonWorker) for a in later.actions)


def test_what_was_asked_for_by_hand_is_tried_again_soon_after_busy_workers_were_let_be() -> None:
    observed = make_observed(
        make_pool(replicas=0),
        deployments=(make_deployment(replicas=1, ready=0),),
        pods=(make_pod("p0", is_ready=False),),
        workers=(make_worker("p0", busy=1, cordoned_since_ms=1),),
    )
    victim = Victim(pod="p0", worker_id="p0@1", since_s=NOW_S - 60)
    under_way = {"emails": ScaleDown(deployment="emails", victims=(victim,))}
    memory = replace(settled("emails", 1), scale_downs=under_way)

    result = plan_replicas(observed, memory, observed.deployments[0], decision(0), NOW_S)

    assert result.memory.scale_downs == {}
    assert result.memory.floors == {"emails": (1, NOW_S + ASKED_AGAIN_S)}
