"""What is left out of a tick: nothing that has work, workers, or anything under way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from operator_builders import (
    NOW_S,
    make_broker,
    make_deployment,
    make_depth,
    make_observed,
    make_pod,
    make_pool,
    make_view,
)
from windlass.control_plane.set_aside import SetAside
from windlass_operator.observe import World
from windlass_operator.observed import BrokerError, PoolObserved
from windlass_operator.plan import EmitEvent, Plan, SetStatus
from windlass_operator.pool_memory import Correction, PoolMemory
from windlass_operator.quiet import (
    LONGEST_S,
    Quiet,
    is_asleep,
    is_settled,
    seen_of_pool,
    seen_of_queue,
)
from windlass_operator.reasons import EventReason
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.scaling.stabilize import Behavior, Memory, remember, still_wanted

KEY = ("shop", "emails")


def asleep(**changes: Any) -> bool:
    observed = make_observed(deployments=(make_deployment(replicas=0),), **changes)
    outcome = reduce_pool(observed, PoolMemory(), NOW_S)
    return is_asleep(observed, outcome.memory, outcome.decision)


def test_a_pool_at_zero_without_work_sleeps() -> None:
    assert asleep()


@pytest.mark.parametrize(
    "changes",
    [
        {"queues": (make_view(depth=make_depth(open=1)),)},
        {"queues": (make_view(depth=make_depth(leased=1, started=1)),)},
        {"queues": (make_view(due_soon=1),)},
        {"queues": (make_view(arrival_rate=0.1),)},
        {"queues": (make_view(depth=None),)},
        {"queues": (make_view(broker=None),)},
        {"queues": (make_view(broker=make_broker(error=BrokerError.UNREACHABLE)),)},
        {"queues": (make_view(queue=None),)},
        {"pods": (make_pod(),)},
        {"pool": make_pool(replicas=1)},
        {"pool": make_pool(autoscaling={"minReplicas": 1, "maxReplicas": 2})},
    ],
    ids=str,
)
def test_a_pool_with_work_workers_or_doubts_does_not(changes: Mapping[str, Any]) -> None:
    assert not asleep(**changes)


@pytest.mark.parametrize(
    "memory",
    [
        {"floors": {"emails": (1, NOW_S)}},
        {"cordons": {"w": NOW_S}},
        {"stuck": frozenset({"w"})},
        {"conflicts": 1},
        {"corrections": {("Deployment", "emails"): Correction(stamp="1", count=1, at_s=NOW_S)}},
    ],
    ids=str,
)
def test_a_pool_with_something_under_way_does_not(memory: Mapping[str, Any]) -> None:
    observed = make_observed(deployments=(make_deployment(replicas=0),))
    outcome = reduce_pool(observed, PoolMemory(), NOW_S)

    assert not is_asleep(observed, replace(outcome.memory, **memory), outcome.decision)


def test_a_plan_is_settled_when_it_would_write_nothing_now_or_later() -> None:
    status = {"replicas": 0}
    event = EmitEvent(reason=EventReason.SCALED_UP, message="")

    assert is_settled(Plan(actions=(SetStatus(status=status),)), status)
    assert is_settled(Plan(), status)
    assert not is_settled(Plan(actions=(SetStatus(status={"replicas": 1}),)), status)
    assert not is_settled(Plan(actions=(SetStatus(status=status), event)), status)


def test_the_same_sight_is_left_out_for_a_minute_at_most() -> None:
    quiet = Quiet()
    assert not quiet.is_quiet("TaskQueue", KEY, ("a",), NOW_S)
    quiet.note("TaskQueue", KEY, ("a",), NOW_S, is_settled=True)

    assert quiet.is_quiet("TaskQueue", KEY, ("a",), NOW_S + LONGEST_S - 1)
    assert not quiet.is_quiet("TaskQueue", KEY, ("b",), NOW_S + 1)
    assert not quiet.is_quiet("TaskQueue", KEY, ("a",), NOW_S + LONGEST_S)
    assert not quiet.is_quiet("TaskQueue", KEY, ("a",), NOW_S - 1), "the clock was set back"
    assert not quiet.is_quiet("WorkerPool", KEY, ("a",), NOW_S)


def test_what_was_not_settled_is_looked_at_again() -> None:
    quiet = Quiet()
    quiet.note("TaskQueue", KEY, ("a",), NOW_S, is_settled=True)
    quiet.note("TaskQueue", KEY, ("a",), NOW_S + 1, is_settled=False)

    assert not quiet.is_quiet("TaskQueue", KEY, ("a",), NOW_S + 2)
    assert not quiet.was_left_out("TaskQueue", KEY)


def world_of(observed: PoolObserved) -> World:
    world = World()
    world.pools[KEY] = observed.pool
    for view in observed.queues:
        key = ("shop", view.ref)
        if view.queue is not None:
            world.queues[key] = view.queue
        world.views[key] = view
        world.serving[key] = ["emails"]
    world.shares[KEY] = {"emails": 0.0}
    return world


def test_whatever_a_look_depends_on_makes_another_sight_of_a_pool() -> None:
    observed = make_observed()
    seen = [seen_of_pool(world_of(observed), KEY, 1), seen_of_pool(world_of(observed), KEY, 2)]
    views = (
        replace(observed.queues[0], depth=make_depth(open=1)),
        replace(observed.queues[0], due_soon=1),
        replace(observed.queues[0], arrival_rate=1.0),
        replace(observed.queues[0], service_s=1.0),
        replace(observed.queues[0], conflict="older"),
        replace(observed.queues[0], aside=SetAside(parked=1, tasks={"shop.new": 1})),
        replace(observed.queues[0], broker=make_broker(error=BrokerError.UNREACHABLE)),
        replace(observed.queues[0], broker=make_broker(broker_id="b2")),
    )
    seen += [seen_of_pool(world_of(replace(observed, queues=(view,))), KEY, 1) for view in views]
    shared, shares = world_of(observed), world_of(observed)
    shared.serving[KEY] = ["emails", "more"]
    shares.shares[KEY] = {"emails": 2.0}
    seen += [seen_of_pool(shared, KEY, 1), seen_of_pool(shares, KEY, 1)]
    seen.append(seen_of_pool(world_of(make_observed(make_pool(concurrency=2))), KEY, 1))

    assert not any(one == other for n, one in enumerate(seen) for other in seen[:n])
    assert seen[0] == seen_of_pool(world_of(observed), KEY, 1)


def test_whatever_a_look_depends_on_makes_another_sight_of_a_queue() -> None:
    observed = make_observed()
    world, served = world_of(observed), world_of(observed)
    served.serving[KEY] = ["other"]
    deep = world_of(make_observed(queues=(make_view(depth=make_depth(dead=1)),)))
    seen = [
        seen_of_queue(world, KEY, "record", "b1"),
        seen_of_queue(world, KEY, "another", "b1"),
        seen_of_queue(world, KEY, "record", None),
        seen_of_queue(served, KEY, "record", "b1"),
        seen_of_queue(deep, KEY, "record", "b1"),
    ]

    assert not any(one == other for n, one in enumerate(seen) for other in seen[:n])
    assert seen[0] == seen_of_queue(world_of(observed), KEY, "record", "b1")


def test_ticks_that_were_left_out_count_in_the_windows() -> None:
    behavior = Behavior(minimum=0, maximum=9, up_window_s=30.0)
    looked = remember(Memory(since_s=0.0, last_active_s=0.0), behavior, 100.0, 0, active=False)
    each = looked
    for now_s in (105.0, 110.0, 150.0):
        each = remember(each, behavior, now_s, 0, active=False)

    assert still_wanted(looked, 150.0) == each
    assert still_wanted(looked, 90.0) == looked
