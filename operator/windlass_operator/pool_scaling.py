"""From what was observed of a pool to its scaling decision. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from windlass_operator.models.workerpool import Autoscaling, WorkerPool
from windlass_operator.observed import PoolObserved, QueueView
from windlass_operator.scaling.decide import (
    Fallback,
    FallbackBehavior,
    PoolInputs,
    Reason,
    ScaleDecision,
    decide_replicas,
)
from windlass_operator.scaling.demand import QueueDemand, need_slots
from windlass_operator.scaling.stabilize import Behavior, Hold, Memory

#: Depths older than so many seconds are no basis for taking workers away.
STALE_S = 15.0


def demand_of(view: QueueView, auto: Autoscaling) -> QueueDemand:
    """Return what is known of a queue in the terms of the scaling maths."""
    queue, depth = view.queue, view.depth
    expected = queue.spec.expected_task_duration if queue else None
    return QueueDemand(
        name=view.ref,
        backlog=depth.backlog if depth else 0,
        due_soon=view.due_soon,
        running=depth.started if depth else 0,
        arrival_rate=view.arrival_rate,
        service_s=view.service_s if view.service_s is not None else expected,
        drain_target_s=queue.spec.drain_target if queue else 60.0,
        tasks_per_slot=auto.tasks_per_slot,
        rate_limit=queue.rate_per_s if queue else None,
        concurrency_cap=queue.spec.max_concurrency if queue else None,
        blocked=depth.blocked if depth else 0,
        parked=depth.parked if depth else 0,
        paused=queue.spec.paused if queue else True,
    )


def need_of(view: QueueView, auto: Autoscaling) -> float:
    """Slots that a queue needs in all, whoever serves it."""
    return need_slots(demand_of(view, auto), auto.target_utilization / 100)


def behavior_of(auto: Autoscaling) -> Behavior:
    """The stabiliser's settings of a pool."""
    return Behavior(
        minimum=auto.min_replicas,
        maximum=auto.max_replicas,
        up_window_s=auto.scale_up.window,
        down_window_s=auto.scale_down.window,
        scale_to_zero_after_s=auto.scale_down.idle_time_s,
        max_disruption=auto.scale_down.max_disruption_percent / 100,
    )


def is_missing(view: QueueView) -> bool:
    """Whether a queue's depth is no basis for taking workers away: unread, stale or broken."""
    if view.queue is None or view.broker is None:
        return view.queue is not None
    return view.broker.error is not None or view.depth is None or view.broker.stale_s > STALE_S


def decide_pool(
    observed: PoolObserved,
    memory: Memory | None,
    current: int,
    now_s: float,
    *,
    growth_blocked: str = "",
    untried: frozenset[str] = frozenset(),
) -> ScaleDecision:
    """Decide a pool's replicas; with spec.replicas the user has decided.

    Args:
        observed: The pool.
        memory: Of the stabiliser.
        current: Replicas asked for now.
        now_s: The instant.
        growth_blocked: Why more workers would not help, '' if they do.
        untried: Queues whose parked messages count as one task.
    """
    spec = observed.pool.spec
    known = memory or _fresh_memory(observed.pool, now_s)
    if spec.autoscaling is None:
        wanted = spec.replicas or 0
        return ScaleDecision(
            replicas=wanted,
            wanted=wanted,
            unbounded=wanted,
            reason=Reason.STEADY,
            message=f"spec.replicas is {wanted}.",
            hold=Hold.NONE,
            memory=known,
        )
    auto = spec.autoscaling
    views = [view for view in observed.queues if view.queue is not None]
    # A pool without any queue that it could serve is left as it is.
    unknown = frozenset() if views else frozenset({"none that can be served"})
    inputs = PoolInputs(
        current=current,
        slots=spec.concurrency,
        queues=tuple(demand_of(view, auto) for view in views),
        shares=observed.shares or _own_shares(views, auto),
        shared=observed.shared,
        behavior=behavior_of(auto),
        memory=known,
        missing=frozenset(view.ref for view in views if is_missing(view)) | unknown,
        failures=max((view.broker.failures for view in views if view.broker), default=0),
        activation=auto.activation,
        fallback=_fallback(auto),
        growth_blocked=growth_blocked,
        paused=spec.paused,
        untried=untried,
        target_utilization=auto.target_utilization / 100,
    )
    return decide_replicas(inputs, now_s)


def _own_shares(views: list[QueueView], auto: Autoscaling) -> Mapping[str, float]:
    return {view.ref: need_of(view, auto) for view in views}


def _fallback(auto: Autoscaling) -> Fallback:
    spec = auto.fallback
    if spec is None:
        return Fallback()
    return Fallback(
        behavior=FallbackBehavior(spec.behavior.value),
        replicas=spec.replicas or 0,
        failure_threshold=spec.failure_threshold,
    )


def _fresh_memory(pool: WorkerPool, now_s: float) -> Memory:
    """Begin with what the status remembers of before."""
    known = pool.status.get("lastActiveTime")
    last_active_s = now_s
    if isinstance(known, str):
        last_active_s = min(now_s, datetime.fromisoformat(known).timestamp())
    return Memory(since_s=now_s, last_active_s=last_active_s)
