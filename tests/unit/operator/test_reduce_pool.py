"""A pool as observed -> actions and status: never raises, and does nothing twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operator_builders import (
    NOW_S,
    make_broker,
    make_deployment,
    make_depth,
    make_observed,
    make_pod,
    make_pool,
    make_queue,
    make_view,
    make_worker,
)
from pool_worlds import worlds
from windlass_operator.desired import names
from windlass_operator.observed import BrokerError, ChildView, PoolObserved
from windlass_operator.plan import ApplyObject, EmitEvent, Plan, SetReplicas, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reasons import ConditionReason, EventReason
from windlass_operator.reduce_pool import PoolOutcome, reduce_pool
from windlass_operator.scaling.stabilize import Memory
from windlass_operator.wanted_children import APPLIED

WARM = PoolMemory(scaling=Memory(since_s=0.0, last_active_s=0.0))


def status_of(outcome: PoolOutcome) -> Mapping[str, Any]:
    return next(a.status for a in outcome.plan.actions if isinstance(a, SetStatus))


def condition(outcome: PoolOutcome, kind: str) -> Mapping[str, Any]:
    return next(c for c in status_of(outcome)["conditions"] if c["type"] == kind)


def writes(plan: Plan) -> list[Any]:
    return [a for a in plan.actions if not isinstance(a, SetStatus)]


def applied(plan: Plan) -> dict[str, Mapping[str, Any]]:
    return {a.manifest["kind"]: a.manifest for a in plan.actions if isinstance(a, ApplyObject)}


def carried_out(observed: PoolObserved, plan: Plan) -> PoolObserved:
    """The world after the plan: children made, replicas set and their pods ready, status stored."""
    children, deployments = dict(observed.children), {d.name: d for d in observed.deployments}
    pool = observed.pool
    for action in plan.actions:
        match action:
            case ApplyObject():
                metadata = action.manifest["metadata"]
                key = (action.manifest["kind"], metadata["name"])
                mark = metadata["annotations"][APPLIED]
                children[key] = ChildView(name=key[1], applied=mark)
                if key[0] == "Deployment":
                    known = deployments.get(key[1])
                    deployments[key[1]] = replace(
                        known or make_deployment(key[1], replicas=0),
                        version=metadata["labels"][names.VERSION],
                    )
            case SetReplicas():
                count = action.replicas
                deployments[action.deployment] = replace(
                    deployments[action.deployment],
                    replicas=count, current=count, ready=count, updated=count,
                )  # fmt: skip
            case SetStatus():
                pool = replace(pool, status=action.status)
            case _:
                pass
    pods = tuple(
        make_pod(f"{d.name}-{n}", deployment=d.name, version=d.version)
        for d in deployments.values()
        for n in range(d.replicas)
    )
    workers = tuple(make_worker(pod.name) for pod in pods)
    return replace(
        observed, pool=pool, children=children, deployments=tuple(deployments.values()), pods=pods,
        workers=workers,
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(worlds(), st.integers(1, 6))
def test_any_world_gives_a_plan_within_bounds_and_one_status(
    observed: PoolObserved, ticks: int
) -> None:
    memory = PoolMemory()
    for tick in range(ticks):
        outcome = reduce_pool(observed, memory, NOW_S + 60 * tick)
        memory = outcome.memory
        statuses = [a for a in outcome.plan.actions if isinstance(a, SetStatus)]
        assert len(statuses) == 1
        kinds = [c["type"] for c in statuses[0].status["conditions"]]
        assert kinds[0] == "Ready"
        assert len(kinds) == len(set(kinds))
        auto = observed.pool.spec.autoscaling
        scales = [a for a in outcome.plan.actions if isinstance(a, SetReplicas)]
        assert all(scale.replicas >= 0 for scale in scales)
        assert len(scales) == len({scale.deployment for scale in scales})
        if auto is not None and not observed.pool.spec.paused:
            assert outcome.decision.replicas <= auto.max_replicas
        if observed.pool.spec.paused:
            assert not [a for a in writes(outcome.plan) if not isinstance(a, EmitEvent)]


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_what_was_carried_out_is_not_done_again(observed: PoolObserved) -> None:
    """Idempotent: the plan of a world in which the last plan came true is empty."""
    memory, world = PoolMemory(), replace(observed, workers_known=True)
    for tick in range(40):
        outcome = reduce_pool(world, memory, NOW_S + tick)
        memory, world = outcome.memory, carried_out(world, outcome.plan)
        if tick > 1 and not any(isinstance(a, SetReplicas) for a in outcome.plan.actions):
            assert not applied(outcome.plan), "children are applied once"


def test_an_unchanged_world_gives_nothing_but_the_status_it_has() -> None:
    observed = make_observed(make_pool(replicas=3))
    memory = WARM
    for tick in range(3):
        outcome = reduce_pool(observed, memory, NOW_S + tick)
        memory, observed = outcome.memory, carried_out(observed, outcome.plan)

    later = reduce_pool(observed, memory, NOW_S + 600)

    assert writes(later.plan) == []
    assert status_of(later) == observed.pool.status


def test_a_new_pool_gets_its_children_and_its_first_workers() -> None:
    outcome = reduce_pool(make_observed(make_pool(replicas=3)), PoolMemory(), NOW_S)

    children = applied(outcome.plan)
    assert set(children) == {"ServiceAccount", "PodDisruptionBudget", "Deployment"}
    assert children["Deployment"]["spec"]["replicas"] == 3
    assert SetReplicas(deployment="emails", replicas=3) in outcome.plan.actions


def test_a_restarted_operator_writes_nothing_to_a_world_that_is_as_wanted() -> None:
    observed = make_observed(make_pool(replicas=3))
    first = reduce_pool(observed, PoolMemory(), NOW_S)

    again = reduce_pool(carried_out(observed, first.plan), PoolMemory(), NOW_S + 60)

    assert writes(again.plan) == []


def test_a_new_image_is_rolled_out_once_and_said() -> None:
    observed = make_observed(make_pool(replicas=3))
    first = reduce_pool(observed, WARM, NOW_S)
    world = carried_out(observed, first.plan)
    newer = replace(world, pool=replace(make_pool(replicas=3, image="shop:2"),
                                        status=world.pool.status))  # fmt: skip

    second = reduce_pool(newer, first.memory, NOW_S + 5)
    third = reduce_pool(carried_out(newer, second.plan), second.memory, NOW_S + 10)

    assert list(applied(second.plan)) == ["Deployment"]
    assert "replicas" not in applied(second.plan)["Deployment"]["spec"]
    said = [a.reason for a in second.plan.actions if isinstance(a, EmitEvent)]
    assert said == [EventReason.ROLLOUT_STARTED]
    assert writes(third.plan) == []


def test_rotated_credentials_start_the_workers_anew_and_are_said_once() -> None:
    observed = make_observed(make_pool(replicas=3))
    first = reduce_pool(observed, WARM, NOW_S)
    rotated = replace(
        carried_out(observed, first.plan), queues=(make_view(broker=make_broker(broker_id="b2")),)
    )
    second = reduce_pool(rotated, first.memory, NOW_S + 5)
    third = reduce_pool(carried_out(rotated, second.plan), second.memory, NOW_S + 10)

    assert list(applied(second.plan)) == ["Deployment"]
    said = [a for a in second.plan.actions if isinstance(a, EmitEvent)]
    assert [a.reason for a in said] == [
        EventReason.CREDENTIALS_ROTATED, EventReason.ROLLOUT_STARTED,
    ]  # fmt: skip
    assert "'emails'" in said[0].message
    assert writes(third.plan) == []


@pytest.mark.parametrize("change", ["another queue", "made anew"])
def test_another_queue_on_another_broker_is_no_rotation(change: str) -> None:
    first = reduce_pool(make_observed(make_pool(replicas=3)), WARM, NOW_S)
    ref = "bulk" if change == "another queue" else "emails"
    queue = make_queue(ref)
    queue = replace(queue, identity=replace(queue.identity, uid="another"))
    view = make_view(ref, queue=queue, broker=make_broker(broker_id="b2"))
    pool = make_pool(replicas=3, queues=[{"name": ref}])

    second = reduce_pool(make_observed(pool, queues=(view,)), first.memory, NOW_S + 5)

    said = [a.reason for a in second.plan.actions if isinstance(a, EmitEvent)]
    assert said == [EventReason.ROLLOUT_STARTED]


def test_credentials_that_rotate_while_the_pool_is_paused_are_said_when_it_goes_on() -> None:
    first = reduce_pool(make_observed(make_pool(replicas=3)), WARM, NOW_S)
    views = (make_view(broker=make_broker(broker_id="b2")),)
    paused = make_observed(make_pool(replicas=3, paused=True), queues=views)

    second = reduce_pool(paused, first.memory, NOW_S + 5)
    third = reduce_pool(replace(paused, pool=make_pool(replicas=3)), second.memory, NOW_S + 10)

    assert not [a for a in second.plan.actions if isinstance(a, EmitEvent)]
    said = [a.reason for a in third.plan.actions if isinstance(a, EmitEvent)]
    assert EventReason.CREDENTIALS_ROTATED in said


def test_a_drain_rollout_begins_with_as_many_workers_as_there_were() -> None:
    pool = make_pool(
        autoscaling={"minReplicas": 0, "maxReplicas": 50}, rollout={"strategy": "Drain"}
    )
    old = make_deployment("emails-old", replicas=30, version="old")
    busy = make_view(depth=make_depth(open=10_000), service_s=10.0)

    outcome = reduce_pool(make_observed(pool, queues=(busy,), deployments=(old,)), WARM, NOW_S)

    assert applied(outcome.plan)["Deployment"]["spec"]["replicas"] >= 30


def test_a_broken_old_version_does_not_keep_the_new_one_from_growing() -> None:
    pool = make_pool(rollout={"strategy": "Drain"})
    first = reduce_pool(make_observed(pool), WARM, NOW_S)
    new = carried_out(make_observed(pool), first.plan)
    broken = make_pod("o", deployment="emails-old", version="old", is_ready=False,
                      waiting_reason="ErrImagePull")  # fmt: skip
    world = replace(
        new,
        queues=(make_view(depth=make_depth(open=100), service_s=10.0),),
        deployments=(*new.deployments, make_deployment("emails-old", version="old", ready=0)),
        pods=(broken,),
    )

    outcome = reduce_pool(world, first.memory, NOW_S + 5)

    assert outcome.decision.replicas > 0
    assert condition(outcome, "Ready")["reason"] == ConditionReason.IMAGE_PULL_FAILED


@pytest.mark.parametrize(
    ("sentence", "pod", "reason", "words"),
    [
        (
            "an image that cannot be pulled",
            {"is_ready": False, "waiting_reason": "ImagePullBackOff", "message": "not found"},
            ConditionReason.IMAGE_PULL_FAILED,
            "not found",
        ),
        (
            "an app that cannot be imported",
            {
                "is_ready": False,
                "restarts": 4,
                "message": "Traceback (most recent call last):\n  ...\n"
                "ModuleNotFoundError: No module named 'shop'",
            },
            ConditionReason.WORKERS_CRASH_LOOPING,
            "No module named 'shop'",
        ),
        (
            "a cluster that is full",
            {"is_ready": False, "phase": "Pending", "unschedulable": "0/3 nodes: no memory"},
            ConditionReason.UNSCHEDULABLE,
            "no memory",
        ),
    ],
)
def test_broken_pods_are_said_and_stop_growth(
    sentence: str, pod: dict[str, Any], reason: str, words: str
) -> None:
    first = reduce_pool(make_observed(), WARM, NOW_S)
    version = first.memory.version
    observed = replace(
        carried_out(make_observed(), first.plan),
        queues=(make_view(depth=make_depth(open=1000), service_s=10.0),),
        deployments=(make_deployment(replicas=1, ready=0, version=version),),
        pods=(make_pod(version=version, **pod),),
        workers=(),
    )

    outcome = reduce_pool(observed, WARM, NOW_S + 5)

    assert outcome.decision.replicas == 1, sentence
    assert condition(outcome, "Ready")["reason"] == reason
    assert condition(outcome, "Degraded")["status"] == "True"
    assert words in condition(outcome, "Degraded")["message"]


def test_a_queue_that_is_not_declared_is_said_and_the_others_are_served() -> None:
    pool = make_pool(replicas=1, queues=[{"name": "emails"}, {"name": "nowhere"}])
    views = (make_view(), make_view("nowhere", queue=None, broker=None, depth=None))

    outcome = reduce_pool(make_observed(pool, queues=views), PoolMemory(), NOW_S)

    assert condition(outcome, "Ready")["reason"] == ConditionReason.QUEUE_NOT_DECLARED
    container = applied(outcome.plan)["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert "--queues=emails" in container["args"]


def test_a_pool_whose_queues_are_all_gone_is_left_as_it_is() -> None:
    views = (make_view(queue=None, broker=None, depth=None),)
    observed = make_observed(
        queues=views, deployments=(make_deployment(replicas=4),), workers_known=False
    )
    outcome = reduce_pool(observed, WARM, NOW_S)

    assert outcome.decision.replicas == 4
    assert not [a for a in writes(outcome.plan) if isinstance(a, SetReplicas)]
    assert condition(outcome, "Ready")["reason"] == ConditionReason.NO_USABLE_QUEUE


@pytest.mark.parametrize(
    "broker", [None, make_broker(broker_id="", error=BrokerError.UNREACHABLE, detail="API")]
)
def test_workers_are_not_started_anew_while_it_is_not_known_where_a_queue_lives(
    broker: Any,
) -> None:
    """An API server that hiccups must not roll every worker of the pool, twice."""
    pool = make_pool(replicas=2, queues=[{"name": "emails"}, {"name": "bulk"}])
    known = make_observed(pool, queues=(make_view(), make_view("bulk")))
    first = reduce_pool(known, WARM, NOW_S)
    world = carried_out(known, first.plan)
    hiccup = replace(world, queues=(make_view(), make_view("bulk", broker=broker, depth=None)))

    outcome = reduce_pool(hiccup, first.memory, NOW_S + 5)

    assert "Deployment" not in applied(outcome.plan)
    assert not [a for a in writes(outcome.plan) if isinstance(a, SetReplicas)]


def test_a_broker_that_cannot_be_read_never_shrinks_a_pool() -> None:
    down = make_broker(error=BrokerError.UNREACHABLE, detail="no route", failures=9)
    observed = make_observed(
        queues=(make_view(broker=down, depth=None),),
        deployments=(make_deployment(replicas=4),),
        workers_known=False,
    )
    memory = WARM
    for tick in range(200):
        outcome = reduce_pool(observed, memory, NOW_S + 60 * tick)
        memory = outcome.memory
        assert not [a for a in writes(outcome.plan) if isinstance(a, SetReplicas)]
    assert condition(outcome, "MetricsAvailable")["reason"] == BrokerError.UNREACHABLE


def test_a_queue_of_another_broker_is_not_counted_as_work() -> None:
    """Its backlog would wake workers that do not serve it, for ever."""
    pool = make_pool(queues=[{"name": "emails"}, {"name": "far"}])
    far = make_view("far", broker=make_broker(broker_id="b2"), depth=make_depth(open=1000))

    outcome = reduce_pool(make_observed(pool, queues=(make_view(), far)), WARM, NOW_S)

    assert outcome.decision.replicas == 0
    assert condition(outcome, "Ready")["reason"] == ConditionReason.BROKERS_DIFFER


def test_the_work_of_the_older_queue_of_a_conflict_does_not_wake_the_younger_ones_pool() -> None:
    view = make_view(conflict="older", depth=make_depth(open=1000))

    outcome = reduce_pool(make_observed(queues=(view,)), WARM, NOW_S)

    assert outcome.decision.replicas == 0


def test_a_task_that_may_run_longer_than_the_pods_grace_is_said() -> None:
    long, short = (make_worker(largest_time_limit_s=limit) for limit in (301.0, 300.0))

    warned = reduce_pool(make_observed(workers=(long,)), WARM, NOW_S)
    fine = reduce_pool(make_observed(workers=(short,)), WARM, NOW_S)

    assert condition(warned, "Warning")["reason"] == ConditionReason.GRACE_TOO_SHORT
    assert "Warning" not in [c["type"] for c in status_of(fine)["conditions"]]


def test_scale_events_say_from_to_and_why() -> None:
    first = reduce_pool(make_observed(), WARM, NOW_S)
    observed = replace(
        carried_out(make_observed(), first.plan),
        queues=(make_view(depth=make_depth(open=100), service_s=10.0),),
    )
    outcome = reduce_pool(observed, first.memory, NOW_S + 5)

    said = [a for a in outcome.plan.actions if isinstance(a, EmitEvent)]
    assert [a.reason for a in said] == [EventReason.SCALED_UP]
    assert said[0].message.startswith("0 -> 4: queue emails: 100 waiting")
