"""How a pool's Deployments get to the replicas decided: up at once, down by the protocol. Pure.

The current Deployment follows the decision. Old ones (rollout.strategy Drain) are cordoned as a
whole and shrink as their workers become empty; too old ones end within their grace period.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from windlass_operator import scale_down
from windlass_operator.models.workerpool import ScaleDown as ScaleDownSpec
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.observed import DeploymentView, PoolObserved
from windlass_operator.plan import Action, DeleteObject, EmitEvent, SetReplicas
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reasons import EventReason
from windlass_operator.scaling.decide import ScaleDecision

#: So often somebody else's replicas are corrected at once; then only now and then.
MOST_FIGHTS = 3
TRUCE_S = 300.0
#: An old version's busy workers may take as long as they need.
_NEVER_S = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """What to do about replicas.

    Attributes:
        desired: Replicas that the pool is on its way to.
        in_conflict: Somebody else keeps changing them.
    """

    memory: PoolMemory
    desired: int
    actions: tuple[Action, ...] = field(default=())
    in_conflict: bool = False


def plan_replicas(
    observed: PoolObserved,
    memory: PoolMemory,
    current: DeploymentView | None,
    decision: ScaleDecision,
    now_s: float,
) -> Replicas:
    """Plan every Deployment of the pool."""
    result = Replicas(memory=memory, desired=decision.replicas)
    if current is not None:
        result = _plan_current(observed, result, current, decision, now_s)
    old = [d for d in observed.deployments if current is not None and d.name != current.name]
    kept = observed.pool.spec.rollout.max_old_versions
    for age, deployment in enumerate(sorted(old, key=lambda d: -d.created_s)):
        result = _plan_old(observed, result, deployment, is_too_old=age >= kept, now_s=now_s)
    return result


def _plan_current(
    observed: PoolObserved,
    result: Replicas,
    current: DeploymentView,
    decision: ScaleDecision,
    now_s: float,
) -> Replicas:
    memory = result.memory
    ours = memory.replicas_set.get(current.name)
    if ours is not None and current.replicas != ours and current.name not in memory.scale_downs:
        corrected = _on_foreign_write(result, current, ours, now_s)
        if corrected is not None:
            return corrected
    memory = result.memory
    target = decision.replicas
    if target > current.replicas:
        scale = SetReplicas(deployment=current.name, replicas=target)
        called_off = _shrink(observed, memory, current, target, now_s)
        return replace(
            result,
            memory=_with_set(called_off.memory, current.name, target),
            actions=(*result.actions, *called_off.actions, scale),
        )
    floor, until = memory.floors.get(current.name, (0, 0.0))
    if now_s < until:
        target = max(target, min(floor, current.replicas))
    return _joined(result, _shrink(observed, memory, current, target, now_s), current)


def _joined(result: Replicas, step: Replicas, current: DeploymentView) -> Replicas:
    memory = step.memory
    scales = [a for a in step.actions if isinstance(a, SetReplicas)]
    for scale in scales:
        memory = _with_set(memory, scale.deployment, scale.replicas)
    if not scales and current.name not in memory.replicas_set:
        memory = _with_set(memory, current.name, current.replicas)
    return replace(result, memory=memory, actions=(*result.actions, *step.actions))


def _on_foreign_write(
    result: Replicas, current: DeploymentView, ours: int, now_s: float
) -> Replicas | None:
    """Correct what somebody else wrote, three times at once, then every five minutes."""
    memory = result.memory
    calm = now_s - memory.corrected_s > 2 * TRUCE_S
    conflicts = 1 if calm else memory.conflicts + 1
    if conflicts > MOST_FIGHTS and now_s - memory.corrected_s < TRUCE_S:
        return replace(result, desired=current.replicas, in_conflict=True)
    event = EmitEvent(
        reason=EventReason.REPLICA_CONFLICT,
        message=f"Somebody set {current.name} to {current.replicas} replicas; set back to {ours}. "
        "To set replicas by hand, use spec.replicas of the WorkerPool or spec.paused.",
        is_warning=True,
    )
    return replace(
        result,
        memory=replace(memory, conflicts=conflicts, corrected_s=now_s),
        actions=(
            *result.actions,
            SetReplicas(deployment=current.name, replicas=ours),
            event,
        ),
        in_conflict=conflicts > MOST_FIGHTS,
    )


def _plan_old(
    observed: PoolObserved,
    result: Replicas,
    deployment: DeploymentView,
    *,
    is_too_old: bool,
    now_s: float,
) -> Replicas:
    if deployment.replicas == 0 and deployment.current == 0:
        done = (
            DeleteObject(api_version="apps/v1", kind="Deployment", name=deployment.name),
            EmitEvent(
                reason=EventReason.OLD_VERSION_DRAINED,
                message=f"Version {deployment.version} has no workers left; it is removed.",
            ),
        )
        return replace(result, actions=(*result.actions, *done))
    if is_too_old:
        stop = SetReplicas(deployment=deployment.name, replicas=0)
        needed = (stop,) if deployment.replicas else ()
        return replace(result, actions=(*result.actions, *needed))
    step = _shrink(observed, result.memory, deployment, 0, now_s, cordon_timeout_s=_NEVER_S)
    return replace(result, memory=step.memory, actions=(*result.actions, *step.actions))


def _shrink(
    observed: PoolObserved,
    memory: PoolMemory,
    deployment: DeploymentView,
    target: int,
    now_s: float,
    cordon_timeout_s: float | None = None,
) -> Replicas:
    pods = [pod for pod in observed.pods if pod.deployment == deployment.name]
    hosts = {pod.name for pod in pods}
    auto = observed.pool.spec.autoscaling
    rules = auto.scale_down if auto else ScaleDownSpec()
    is_old = cordon_timeout_s is not None
    situation = scale_down.Situation(
        deployment=deployment,
        pods=pods,
        workers=[worker for worker in observed.workers if worker.hostname in hosts],
        target=target,
        policy=ScaleDownPolicy.IDLE_ONLY if is_old else rules.policy,
        cordon_timeout_s=rules.cordon_timeout if cordon_timeout_s is None else cordon_timeout_s,
        workers_known=observed.workers_known,
    )
    step = scale_down.step(memory.scale_downs.get(deployment.name), situation, now_s)
    under_way = {k: v for k, v in memory.scale_downs.items() if k != deployment.name}
    if step.state is not None:
        under_way[deployment.name] = step.state
    floors = dict(memory.floors)
    if step.floor is not None:
        floors[deployment.name] = (step.floor, now_s + rules.window)
    remembered = replace(
        memory,
        scale_downs=under_way,
        floors=floors,
        wrong_victims=memory.wrong_victims + step.wrong_victims,
    )
    return Replicas(memory=remembered, desired=target, actions=step.actions)


def _with_set(memory: PoolMemory, deployment: str, replicas: int) -> PoolMemory:
    return replace(memory, replicas_set={**memory.replicas_set, deployment: replicas})
