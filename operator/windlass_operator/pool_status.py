"""The status of a WorkerPool: a rounded view, so that it is written only when something changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from windlass_operator.conditions import Condition, merged, timestamp
from windlass_operator.desired.names import pool_selector
from windlass_operator.models.quantities import short_age
from windlass_operator.observed import PoolObserved, QueueView
from windlass_operator.reasons import ConditionReason, ConditionType
from windlass_operator.scaling.decide import Reason, ScaleDecision


def rounded(count: int) -> int:
    """Round a count to two digits: a backlog that moves a little is no news."""
    if count < 100:
        return count
    scale = 10 ** (len(str(count)) - 2)
    return int(count // scale * scale)


def backlog_of(queues: Sequence[QueueView]) -> int:
    """Messages that wait in all queues."""
    return sum(view.depth.backlog for view in queues if view.depth is not None)


def oldest_of(queues: Sequence[QueueView]) -> str:
    """Age of the oldest message that waits, '' if none does."""
    oldest = max((view.depth.oldest_ms for view in queues if view.depth is not None), default=0)
    return short_age(oldest / 1000) if oldest else ""


def desired_pool_status(
    observed: PoolObserved,
    decision: ScaleDecision,
    conditions: Sequence[Condition],
    *,
    desired: int,
    version: str,
    now_s: float,
    unknown_tasks: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Build the status.

    Args:
        observed: The world.
        decision: The newest.
        conditions: Wanted ones, Ready first.
        desired: Replicas asked for.
        version: Of the wanted template, '' if none could be built.
        unknown_tasks: Parked tasks that workers of that template do not know.
        now_s: The instant.
    """
    pool, status = observed.pool, observed.pool.status
    current = sum(deployment.current for deployment in observed.deployments)
    generation = pool.identity.generation
    scaled = status.get("desiredReplicas") != desired
    slots = pool.spec.concurrency * current
    result = {
        "observedGeneration": generation,
        "replicas": current,
        "readyReplicas": sum(deployment.ready for deployment in observed.deployments),
        "desiredReplicas": desired,
        "busySlots": sum(worker.busy for worker in observed.workers),
        "slots": slots,
        "backlog": rounded(backlog_of(observed.queues)),
        "oldest": oldest_of(observed.queues),
        "selector": pool_selector(pool.identity.name),
        "templateHash": version,
        "unknownTasks": sorted(unknown_tasks),
        "lastScaleTime": timestamp(now_s) if scaled else status.get("lastScaleTime"),
        "lastActiveTime": _last_active(status, decision),
        "scaling": {"reason": str(decision.reason), "message": decision.message[:4096]},
        "conditions": merged(status.get("conditions", ()), conditions, generation, now_s),
    }
    return {key: value for key, value in result.items() if value not in (None, "", [])}


def _last_active(status: Mapping[str, Any], decision: ScaleDecision) -> str | None:
    at = decision.memory.last_active_s
    known: str | None = status.get("lastActiveTime")
    # To the minute: it is for a person, and for a restarted operator.
    return timestamp(at // 60 * 60) if at > 0 else known


def scaling_conditions(observed: PoolObserved, decision: ScaleDecision) -> list[Condition]:
    """Conditions of scaling and metrics: transient ones, so none of them is Ready."""
    failing = [view for view in observed.queues if view.broker and view.broker.error]
    metrics = Condition(
        type=ConditionType.METRICS_AVAILABLE,
        status=not failing,
        reason=str(failing[0].broker.error) if failing and failing[0].broker else "AsExpected",
        message="; ".join(f"{v.ref}: {v.broker.detail}" for v in failing if v.broker),
    )
    if observed.pool.spec.autoscaling is None:
        active = Condition(
            type=ConditionType.SCALING_ACTIVE,
            status=False,
            reason=ConditionReason.MANUAL,
            message="spec.replicas decides; kubectl scale and HPA may write it.",
        )
        return [metrics, active]
    active = Condition(
        type=ConditionType.SCALING_ACTIVE,
        status=decision.reason not in (Reason.METRICS_MISSING, Reason.FALLBACK, Reason.PAUSED),
        reason=str(decision.reason),
    )
    limited = Condition(
        type=ConditionType.SCALING_LIMITED,
        status=decision.limited,
        reason=ConditionReason.AT_BOUND if decision.limited else ConditionReason.AS_EXPECTED,
        message=f"The work wants {decision.unbounded} replicas." if decision.limited else "",
    )
    return [metrics, active, limited]
