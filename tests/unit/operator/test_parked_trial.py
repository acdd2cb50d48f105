"""Parked messages start a pool at zero once for each template, and never again for nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from operator_builders import (
    NOW_S,
    make_deployment,
    make_depth,
    make_observed,
    make_pod,
    make_pool,
    make_queue,
    make_view,
    make_worker,
)
from windlass.control_plane.set_aside import SetAside
from windlass_operator.observed import PoolObserved
from windlass_operator.parked_trial import MOST_TASKS, TRY_S, Tried, look_at_parked
from windlass_operator.plan import SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.quiet import is_asleep
from windlass_operator.reduce_pool import PoolOutcome, reduce_pool

NEW = "shop.new"


def parked(*tasks: str, queue: Any = None, **values: Any) -> Any:
    counts = dict.fromkeys(tasks, 2)
    total = sum(counts.values())
    return make_view(
        queue=queue or make_queue(),
        depth=make_depth(parked=total),
        aside=SetAside(parked=total, tasks=counts) if counts else None,
        **values,
    )


def pool_with(view: Any, *, pool: Any = None, **values: Any) -> PoolObserved:
    given: dict[str, Any] = {"deployments": (make_deployment(replicas=0),), **values}
    return make_observed(pool or make_pool(), queues=(view,), **given)


def with_worker(observed: PoolObserved, version: str, **worker: Any) -> PoolObserved:
    """One worker of a template is up."""
    pod = make_pod(version=version)
    deployment = make_deployment(replicas=1, version=version)
    return replace(
        observed,
        deployments=(deployment,),
        pods=(pod,),
        workers=(make_worker(pod.name, **worker),),
    )


def status_of(outcome: PoolOutcome) -> Any:
    return next(a.status for a in outcome.plan.actions if isinstance(a, SetStatus))


def version_of(outcome: PoolOutcome) -> str:
    return str(status_of(outcome)["templateHash"])


def test_a_pool_at_zero_is_started_once_for_what_is_parked() -> None:
    observed = pool_with(parked(NEW))

    started = reduce_pool(observed, PoolMemory(), NOW_S)
    version = version_of(started)
    comes_up = with_worker(observed, version)
    looked = reduce_pool(comes_up, started.memory, NOW_S + 5)
    knows_not = reduce_pool(comes_up, looked.memory, NOW_S + 5 + TRY_S)
    at_zero = reduce_pool(observed, knows_not.memory, NOW_S + 4000)

    assert [one.decision.wanted for one in (started, looked, knows_not, at_zero)] == [1, 1, 0, 0]
    assert "parked that a worker of this template may know" in started.decision.message
    assert "2 parked that this template does not know" in at_zero.decision.message
    assert status_of(knows_not)["unknownTasks"] == [NEW]
    assert "unknownTasks" not in status_of(started)


def test_another_template_is_tried_again() -> None:
    tried = PoolMemory(tried=Tried(version="old", tasks=frozenset({NEW})))
    observed = pool_with(parked(NEW), pool=make_pool(image="registry.example/shop:1.5"))

    assert reduce_pool(observed, tried, NOW_S).decision.wanted == 1


def test_workers_of_the_old_template_tell_nothing_of_the_new_one() -> None:
    observed = with_worker(pool_with(parked(NEW)), "old")

    first = look_at_parked(observed, None, "new", NOW_S)
    later = look_at_parked(observed, first.tried, "new", NOW_S + 10 * TRY_S)

    assert later.queues == {"emails"}
    assert later.tried.tasks == frozenset()


@pytest.mark.parametrize("state", [{"draining": True}, {"cordoned_since_ms": 1}], ids=str)
def test_a_worker_that_takes_nothing_tells_nothing(state: Any) -> None:
    observed = with_worker(pool_with(parked(NEW)), "v", **state)

    first = look_at_parked(observed, None, "v", NOW_S)

    assert look_at_parked(observed, first.tried, "v", NOW_S + 60).queues == {"emails"}


def test_a_worker_that_went_before_it_could_look_begins_anew() -> None:
    observed = pool_with(parked(NEW))
    up = with_worker(observed, "v")

    trial = look_at_parked(up, None, "v", NOW_S)
    trial = look_at_parked(observed, trial.tried, "v", NOW_S + 5)
    trial = look_at_parked(up, trial.tried, "v", NOW_S + TRY_S + 1)

    assert trial.queues == {"emails"}


def test_another_task_that_is_parked_later_is_tried_too() -> None:
    known = Tried(version="v", tasks=frozenset({NEW}))

    assert look_at_parked(pool_with(parked(NEW)), known, "v", NOW_S).queues == frozenset()
    assert look_at_parked(pool_with(parked(NEW, "b")), known, "v", NOW_S).queues == {"emails"}


def test_a_restarted_operator_remembers_by_the_status() -> None:
    pool = make_pool()
    pool = replace(pool, status={"templateHash": "v", "unknownTasks": [NEW]})

    assert look_at_parked(pool_with(parked(NEW), pool=pool), None, "v", NOW_S).queues == frozenset()
    assert look_at_parked(pool_with(parked(NEW), pool=pool), None, "w", NOW_S).queues == {"emails"}


@pytest.mark.parametrize(
    ("sentence", "view"),
    [
        ("nothing is parked", parked()),
        ("the queue is paused", parked(NEW, queue=make_queue(paused=True))),
        ("the queue is another one's twin", parked(NEW, conflict="older")),
        ("what is parked was not read yet", make_view(depth=make_depth(parked=3))),
        ("the depth is not known", make_view(depth=None)),
        ("the queue is not declared", make_view(queue=None)),
    ],
)
def test_nothing_is_tried_when(sentence: str, view: Any) -> None:
    assert look_at_parked(pool_with(view), None, "v", NOW_S).queues == frozenset(), sentence


def test_without_a_template_nothing_is_tried_and_nothing_forgotten() -> None:
    known = Tried(version="v", tasks=frozenset({NEW}))

    trial = look_at_parked(pool_with(parked(NEW)), known, "", NOW_S)

    assert (trial.queues, trial.tried) == (frozenset(), known)


def test_names_are_bounded_and_those_parked_now_come_first() -> None:
    old = Tried(version="v", tasks=frozenset(f"a{n}" for n in range(MOST_TASKS)), since_s=0.0)

    trial = look_at_parked(with_worker(pool_with(parked("z")), "v"), old, "v", NOW_S)

    assert len(trial.tried.tasks) == MOST_TASKS
    assert "z" in trial.tried.tasks
    assert trial.queues == frozenset()


def test_one_parked_task_is_one_task_and_wakes_nobody_below_the_activation() -> None:
    auto = {"minReplicas": 0, "maxReplicas": 5, "activation": 3}
    outcome = reduce_pool(pool_with(parked(NEW), pool=make_pool(autoscaling=auto)), PoolMemory(),
                          NOW_S)  # fmt: skip

    assert outcome.decision.wanted == 0


def test_a_pool_does_not_sleep_before_it_was_tried_and_does_after() -> None:
    observed = pool_with(parked(NEW))
    fresh = reduce_pool(observed, PoolMemory(), NOW_S)
    tried = PoolMemory(tried=Tried(version=version_of(fresh), tasks=frozenset({NEW})))
    after = reduce_pool(observed, tried, NOW_S)

    assert not is_asleep(observed, fresh.memory, fresh.decision)
    assert is_asleep(observed, after.memory, after.decision)


def test_each_of_two_pools_of_a_queue_is_tried() -> None:
    """Whichever image it is that knows the task: nobody can tell before."""
    for name in ("one", "two"):
        pool = make_pool(name)
        observed = pool_with(parked(NEW), pool=pool, shared=frozenset({"emails"}),
                             deployments=(make_deployment(name, replicas=0),))  # fmt: skip
        assert reduce_pool(observed, PoolMemory(), NOW_S).decision.wanted == 1
