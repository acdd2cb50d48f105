"""The pure heart of the operator: a pool as observed -> what to do, and what to remember.

    queues it can serve -> pod template -> scaling decision -> children -> replicas -> conditions

No create or update branches: what is wanted is compared with what is there, whoever changed it.
Next in the walk: `windlass_operator.apply`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from windlass_operator.desired import names
from windlass_operator.desired.worker_deployment import WorkerInputs
from windlass_operator.health_of_pods import trouble
from windlass_operator.observed import DeploymentView, PoolObserved
from windlass_operator.parked_trial import look_at_parked
from windlass_operator.plan import (
    Action,
    EmitEvent,
    Plan,
    SetReplicas,
    SetStatus,
)
from windlass_operator.pool_children import Children, plan_children
from windlass_operator.pool_conditions import pool_conditions
from windlass_operator.pool_cordons import watch_cordons
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.pool_queues import Served, served_queues
from windlass_operator.pool_replicas import Replicas, plan_replicas
from windlass_operator.pool_scaling import decide_pool
from windlass_operator.pool_status import desired_pool_status, scaling_conditions
from windlass_operator.reasons import EventReason
from windlass_operator.scale_down import look_again_s
from windlass_operator.scaling.decide import Reason, ScaleDecision
from windlass_operator.wanted_children import Wanted, wanted_children

#: A Deployment controller has taken a new Deployment in by then.
_NEW_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOutcome:
    """A plan, the memory for the next tick, and the decision for metrics."""

    plan: Plan
    memory: PoolMemory
    decision: ScaleDecision


def reduce_pool(observed: PoolObserved, memory: PoolMemory, now_s: float) -> PoolOutcome:
    """Decide everything about one pool."""
    served = served_queues(observed)
    wanted = wanted_children(observed.pool, _inputs(observed, served), memory.wanted)
    current = _current_deployment(observed, wanted)
    pods = [pod for pod in observed.pods if not pod.is_deleting]
    asked = _asked(observed, current)
    blocking = trouble([p for p in pods if wanted.version in ("", p.version)])
    counted = _counted(observed, served)
    trial = look_at_parked(counted, memory.tried, wanted.version, now_s)
    decision = decide_pool(
        counted, memory.scaling, asked, now_s,
        growth_blocked=blocking.reason if blocking else "", untried=trial.queues,
    )  # fmt: skip
    if observed.pool.spec.paused:
        replicas = Replicas(memory=memory, desired=asked)
        children = Children(corrections=memory.corrections)
    else:
        children = plan_children(observed, memory, wanted, current, decision, now_s)
        replicas = plan_replicas(observed, memory, current, decision, now_s)
    cordons = watch_cordons(observed, memory, replicas.memory, now_s)
    conditions = [
        *pool_conditions(observed, served, wanted, current, trouble(pods), replicas, cordons.stuck),
        *scaling_conditions(observed, decision),
    ]
    status = desired_pool_status(
        observed, decision, conditions, desired=replicas.desired, version=wanted.version,
        unknown_tasks=trial.tried.tasks, now_s=now_s,
    )  # fmt: skip
    actions = (
        *children.actions,
        *replicas.actions,
        *cordons.actions,
        *_rollout_events(observed, memory, served, wanted.version),
        *_scale_events(current, replicas, decision),
        SetStatus(status=status, is_passing=_is_passing(current, children, now_s)),
    )
    remembered = replace(
        cordons.memory,
        scaling=decision.memory,
        corrections=children.corrections,
        right=children.right,
        wanted=wanted,
        tried=trial.tried,
    )
    if wanted.version and not observed.pool.spec.paused:
        remembered = replace(remembered, version=wanted.version, credentials=_credentials(served))
    plan = Plan(actions=actions, look_again_s=_look_again_s(remembered, now_s))
    return PoolOutcome(plan=plan, memory=remembered, decision=decision)


def _counted(observed: PoolObserved, served: Served) -> PoolObserved:
    """Return the pool with the queues whose work counts."""
    if len(served.counted) == len(observed.queues):
        return observed
    return replace(observed, queues=served.counted)


def _look_again_s(memory: PoolMemory, now_s: float) -> float | None:
    pauses = [look_again_s(state, now_s) for state in memory.scale_downs.values()]
    return min((pause for pause in pauses if pause is not None), default=None)


def _is_passing(current: DeploymentView | None, children: Children, now_s: float) -> bool:
    """Whether the Deployment is so new that what is said of it is over before it is read."""
    if current is None:
        return children.makes_deployment
    return current.observed_generation == 0 and now_s - current.created_s < _NEW_S


def _inputs(observed: PoolObserved, served: Served) -> WorkerInputs | None:
    """What the workers are started with; None while that cannot be said."""
    if not served.views or not served.is_settled:
        return None
    first = served.views[0]
    credentials = first.broker.broker_id if first.broker else ""
    return WorkerInputs(
        queues=served.names,
        binding=names.binding_name(first.ref),
        credentials=credentials,
        image_pull_secrets=observed.image_pull_secrets,
    )


def _current_deployment(observed: PoolObserved, wanted: Wanted) -> DeploymentView | None:
    if not wanted.version:
        return max(observed.deployments, key=lambda d: d.created_s, default=None)
    name = names.deployment_name(observed.pool, wanted.version)
    return next((d for d in observed.deployments if d.name == name), None)


def _asked(observed: PoolObserved, current: DeploymentView | None) -> int:
    """Replicas asked for now; a version that is not there yet goes on from the one before."""
    if current is not None:
        return current.replicas
    return max((deployment.replicas for deployment in observed.deployments), default=0)


def _credentials(served: Served) -> tuple[str, str]:
    """Whose broker the workers use, and its id: another id of the same queue was rotated."""
    first = served.views[0]
    uid = first.queue.identity.uid if first.queue else ""
    return uid, first.broker.broker_id if first.broker else ""


def _rollout_events(
    observed: PoolObserved, memory: PoolMemory, served: Served, version: str
) -> Sequence[Action]:
    is_paused = observed.pool.spec.paused
    if is_paused or not version or memory.version in ("", version):
        return ()
    message = f"Version {memory.version} -> {version}."
    rollout = EmitEvent(reason=EventReason.ROLLOUT_STARTED, message=message)
    uid, broker_id = _credentials(served)
    if memory.credentials[0] != uid or memory.credentials[1] == broker_id:
        return (rollout,)
    rotated = EmitEvent(
        reason=EventReason.CREDENTIALS_ROTATED,
        message=f"The broker address or credentials of TaskQueue {served.views[0].ref!r} changed; "
        "workers are started anew with the new ones.",
    )
    return (rotated, rollout)


def _scale_events(
    current: DeploymentView | None, replicas: Replicas, decision: ScaleDecision
) -> Sequence[Action]:
    before = current.replicas if current else 0
    changed = [a for a in replicas.actions if isinstance(a, SetReplicas)]
    if current is None or not any(a.deployment == current.name for a in changed):
        return ()
    after = next(a.replicas for a in changed if a.deployment == current.name)
    if after == before or decision.reason is Reason.PAUSED:
        return ()
    reason = EventReason.SCALED_UP if after > before else EventReason.SCALED_DOWN
    if after == 0:
        reason = EventReason.SCALED_TO_ZERO
    return (EmitEvent(reason=reason, message=f"{before} -> {after}: {decision.message}"),)
