"""How a pool's Deployments get to the replicas decided: up at once, down by the protocol. Pure.

The current Deployment follows the decision. Old ones (rollout.strategy Drain) do the work until the
new one is ready, then are cordoned as a whole and shrink as their workers become empty; too old
ones end within their grace period.
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
from windlass_operator.victims import Situation

#: So often somebody else's replicas are corrected at once; then only now and then.
MOST_FIGHTS = 3
TRUCE_S = 300.0
#: So long the count of before our own write may still be seen.
SETTLE_S = 15.0
#: What somebody asked for by hand is tried again so long after busy workers were let be.
ASKED_AGAIN_S = 30.0
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
    result = Replicas(memory=_known(memory, observed), desired=decision.replicas)
    if current is not None:
        result = _plan_current(observed, result, current, decision, now_s)
    old = [d for d in observed.deployments if current is not None and d.name != current.name]
    kept = observed.pool.spec.rollout.old_versions
    # As long as the new version is not ready, the old ones do the work: newest first.
    needed = max(0, decision.replicas - (current.ready if current else 0))
    for age, deployment in enumerate(sorted(old, key=lambda d: -d.created_s)):
        target = 0 if age >= kept else min(needed, deployment.replicas)
        needed -= target
        result = _plan_old(
            observed, result, deployment, target=target, is_too_old=age >= kept, now_s=now_s
        )
    in_conflict = is_in_conflict(result.memory, now_s)
    return replace(result, in_conflict=in_conflict)


def is_in_conflict(memory: PoolMemory, now_s: float) -> bool:
    """Whether somebody else kept writing replicas of late."""
    return memory.conflicts > MOST_FIGHTS and now_s - memory.corrected_s < 2 * TRUCE_S


def _known(memory: PoolMemory, observed: PoolObserved) -> PoolMemory:
    """Forget Deployments that are gone."""
    names = {deployment.name for deployment in observed.deployments}
    if names.issuperset((*memory.scale_downs, *memory.floors, *memory.replicas_set)):
        return memory
    return replace(
        memory,
        scale_downs={k: v for k, v in memory.scale_downs.items() if k in names},
        floors={k: v for k, v in memory.floors.items() if k in names},
        replicas_set={k: v for k, v in memory.replicas_set.items() if k in names},
        set_from={k: v for k, v in memory.set_from.items() if k in names},
    )


def _plan_current(
    observed: PoolObserved,
    result: Replicas,
    current: DeploymentView,
    decision: ScaleDecision,
    now_s: float,
) -> Replicas:
    if _is_foreign(result.memory, current, now_s):
        result, is_settled = _on_foreign_write(result, current, now_s)
        if is_settled:
            return result
    memory, target = result.memory, decision.replicas
    if target > current.replicas:
        scale = SetReplicas(deployment=current.name, replicas=target)
        called_off = _shrink(observed, memory, current, target, now_s)
        return replace(
            result,
            memory=_with_set(called_off.memory, current, target, now_s),
            actions=(*result.actions, *called_off.actions, scale),
        )
    floor, until = memory.floors.get(current.name, (0, 0.0))
    if now_s < until:
        target = max(target, min(floor, current.replicas))
    step = _shrink(observed, memory, current, target, now_s)
    return replace(
        result,
        memory=_remembered(memory, step, current, now_s),
        actions=(*result.actions, *step.actions),
    )


def _remembered(
    before: PoolMemory, step: Replicas, current: DeploymentView, now_s: float
) -> PoolMemory:
    scales = [a for a in step.actions if isinstance(a, SetReplicas)]
    if scales:
        return _with_set(step.memory, current, scales[-1].replicas, now_s)
    was, state = before.scale_downs.get(current.name), step.memory.scale_downs.get(current.name)
    is_refused = (
        was is not None
        and was.scaled_to is not None
        and (state is None or state.scaled_to is None)
        and current.replicas > was.scaled_to
    )
    if is_refused or current.name not in step.memory.replicas_set:
        return _with_set(step.memory, current, current.replicas, now_s)
    return step.memory


def _is_foreign(memory: PoolMemory, current: DeploymentView, now_s: float) -> bool:
    ours = memory.replicas_set.get(current.name)
    if ours is None or current.replicas == ours or current.name in memory.scale_downs:
        return False
    before, at_s = memory.set_from.get(current.name, (ours, 0.0))
    return current.replicas != before or now_s - at_s >= SETTLE_S


def _on_foreign_write(
    result: Replicas, current: DeploymentView, now_s: float
) -> tuple[Replicas, bool]:
    """Correct what somebody else wrote, three times at once, then every five minutes.

    Fewer replicas are set back. More of them are taken as they are, and scaled in as any others:
    to set them back would stop busy workers.

    Returns:
        The result, and whether that is all for this tick.
    """
    memory, ours = result.memory, result.memory.replicas_set[current.name]
    calm = now_s - memory.corrected_s > 2 * TRUCE_S
    conflicts = 1 if calm else memory.conflicts + 1
    if conflicts > MOST_FIGHTS and now_s - memory.corrected_s < TRUCE_S:
        held = replace(memory, conflicts=conflicts)
        return replace(result, memory=held, desired=current.replicas), True
    is_fewer = current.replicas < ours
    done = f"set back to {ours}" if is_fewer else "scaled in again as workers become idle"
    event = EmitEvent(
        reason=EventReason.REPLICA_CONFLICT,
        message=f"Somebody set {current.name} to {current.replicas} replicas; {done}. "
        "To set replicas by hand, use spec.replicas of the WorkerPool or spec.paused.",
        is_warning=True,
    )
    memory = replace(memory, conflicts=conflicts, corrected_s=now_s)
    if not is_fewer:
        memory = _with_set(memory, current, current.replicas, now_s)
        return replace(result, memory=memory, actions=(*result.actions, event)), False
    scale = SetReplicas(deployment=current.name, replicas=ours)
    memory = _with_set(memory, current, ours, now_s)
    return replace(result, memory=memory, actions=(*result.actions, scale, event)), True


def _plan_old(
    observed: PoolObserved,
    result: Replicas,
    deployment: DeploymentView,
    *,
    target: int,
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
    step = _shrink(observed, result.memory, deployment, target, now_s, cordon_timeout_s=_NEVER_S)
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
    situation = Situation(
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
        floors[deployment.name] = (step.floor, now_s + (rules.window if auto else ASKED_AGAIN_S))
    remembered = replace(
        memory,
        scale_downs=under_way,
        floors=floors,
        wrong_victims=memory.wrong_victims + step.wrong_victims,
    )
    return Replicas(memory=remembered, desired=target, actions=step.actions)


def _with_set(
    memory: PoolMemory, deployment: DeploymentView, replicas: int, now_s: float
) -> PoolMemory:
    return replace(
        memory,
        replicas_set={**memory.replicas_set, deployment.name: replicas},
        set_from={**memory.set_from, deployment.name: (deployment.replicas, now_s)},
    )
