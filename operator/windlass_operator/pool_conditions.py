"""The conditions of a WorkerPool, Ready first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from windlass_operator.conditions import Condition
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.observed import DeploymentView, PoolObserved
from windlass_operator.pool_cordons import said
from windlass_operator.pool_queues import Served
from windlass_operator.pool_replicas import Replicas
from windlass_operator.reasons import ConditionReason, ConditionType
from windlass_operator.wanted_children import Wanted


def pool_conditions(
    observed: PoolObserved,
    served: Served,
    wanted: Wanted,
    current: DeploymentView | None,
    trouble: Condition | None,
    replicas: Replicas,
    stuck: tuple[str, ...] = (),
) -> list[Condition]:
    """Build all but the scaling ones; `stuck`: pods whose cordon does not go."""
    progressing = _progressing(current, trouble, replicas)
    conditions = [
        _ready(observed, served, current, trouble, progressing, replicas),
        progressing,
        trouble or _fine(ConditionType.DEGRADED),
        _paused(observed),
        _conflict(replicas),
    ]
    warnings = _warnings(observed, wanted, stuck)
    if warnings:
        conditions.append(warnings)
    return conditions


def _ready(
    observed: PoolObserved,
    served: Served,
    current: DeploymentView | None,
    trouble: Condition | None,
    progressing: Condition,
    replicas: Replicas,
) -> Condition:
    ready = ConditionType.READY
    if served.problems:
        first = served.problems[0]
        message = " ".join(problem.message for problem in served.problems)
        return Condition(type=ready, status=False, reason=first.reason, message=message)
    if trouble is not None:
        return Condition(type=ready, status=False, reason=trouble.reason, message=trouble.message)
    if progressing.status is not False:
        return Condition(
            type=ready, status=False, reason=progressing.reason, message=progressing.message
        )
    if replicas.desired == 0 and (current is None or current.replicas == 0):
        return Condition(
            type=ready,
            status=True,
            reason=ConditionReason.SCALED_TO_ZERO,
            message="Nothing to do; the first task wakes it.",
        )
    return Condition(type=ready, status=True, reason=ConditionReason.AS_EXPECTED)


def _progressing(
    current: DeploymentView | None, trouble: Condition | None, replicas: Replicas
) -> Condition:
    kind = ConditionType.PROGRESSING
    if current is None:
        return Condition(
            type=kind,
            status=True if trouble is None else None,
            reason=ConditionReason.ROLLING_OUT,
            message="The Deployment is being made.",
        )
    if current.progress_failed:
        return Condition(
            type=kind,
            status=True,
            reason=ConditionReason.PROGRESS_DEADLINE,
            message=current.progress_failed,
        )
    if current.observed_generation < current.generation or current.updated < current.replicas:
        return Condition(
            type=kind,
            status=True,
            reason=ConditionReason.ROLLING_OUT,
            message=f"{current.updated} of {current.replicas} workers are of the new version.",
        )
    if current.ready < min(current.replicas, replicas.desired):
        return Condition(
            type=kind,
            status=True,
            reason=ConditionReason.ROLLING_OUT,
            message=f"{current.ready} of {current.replicas} workers are ready.",
        )
    return Condition(type=kind, status=False, reason=ConditionReason.AS_EXPECTED)


def _fine(kind: ConditionType) -> Condition:
    return Condition(type=kind, status=False, reason=ConditionReason.AS_EXPECTED)


def _paused(observed: PoolObserved) -> Condition:
    is_paused = observed.pool.spec.paused
    reason = ConditionReason.PAUSED_BY_USER if is_paused else ConditionReason.AS_EXPECTED
    message = "spec.paused: the operator changes nothing of this pool." if is_paused else ""
    return Condition(type=ConditionType.PAUSED, status=is_paused, reason=reason, message=message)


def _conflict(replicas: Replicas) -> Condition:
    if not replicas.in_conflict:
        return _fine(ConditionType.REPLICA_CONFLICT)
    return Condition(
        type=ConditionType.REPLICA_CONFLICT,
        status=True,
        reason=ConditionReason.FOREIGN_WRITER,
        message="Somebody else keeps writing the Deployment's replicas (an HPA on it?). Point it "
        "at the WorkerPool with spec.replicas, or remove it.",
    )


def _warnings(observed: PoolObserved, wanted: Wanted, stuck: tuple[str, ...]) -> Condition | None:
    """What works, but not as the user may think."""
    grace_s = observed.pool.grace_s
    is_immediate = observed.pool.policy is ScaleDownPolicy.IMMEDIATE
    largest = max((w.largest_time_limit_s for w in observed.workers), default=0.0)
    found: Sequence[tuple[ConditionReason, str]] = [
        *([(ConditionReason.CORDON_STUCK, said(stuck))] if stuck else []),
        *(
            [(
                ConditionReason.GRACE_TOO_SHORT,
                f"A task may run {largest:g} s, but a worker that is told to stop gets "
                f"{grace_s:g} s. Raise timeLimits.hard or drainTimeout.",
            )]
            if largest > grace_s and not is_immediate
            else []
        ),
        *(
            [(
                ConditionReason.SHARED_QUEUE,
                f"Other pools serve {', '.join(sorted(observed.shared))} too; its need is divided.",
            )]
            if observed.shared
            else []
        ),
        *(
            [(
                ConditionReason.POD_TEMPLATE_IGNORED,
                f"Ignored, since the operator sets them: {', '.join(wanted.ignored)}.",
            )]
            if wanted.ignored
            else []
        ),
    ]  # fmt: skip
    if not found:
        return None
    return Condition(
        type=ConditionType.WARNING,
        status=True,
        reason=found[0][0],
        message=" ".join(message for _, message in found),
    )
