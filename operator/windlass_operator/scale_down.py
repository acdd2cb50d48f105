"""Taking workers away without killing a task: cordon -> empty -> unready -> scale. Pure.

    choose     idle workers first, then those whose work is youngest
    cordon     the broker gives them nothing more (a lease of 30 s, renewed each tick)
    empty      who becomes empty in time is confirmed; the others are let be, and kept for a while
    unready    a cordoned worker is not ready, and costs least: the ReplicaSet takes it first
    scale      only when the Deployment's status shows that the controller has seen that

Why this order: a ReplicaSet removes pods that are not ready before those that are, whatever they
run. So readiness must be gone from the victims, and from nobody else, before replicas falls.
Demand that returns before the scale un-cordons everybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.observed import DeploymentView, PodView
from windlass_operator.plan import (
    Action,
    CordonWorker,
    EmitEvent,
    SetDeletionCost,
    SetReplicas,
    UncordonWorker,
)
from windlass_operator.reasons import EventReason

CORDON_S = 30.0
#: A confirmed victim stays cordoned so long that it cannot come back before its pod ends.
FINAL_CORDON_S = 600.0
VICTIM_COST = -1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """A pod that is to go, and its worker; '' for a pod whose worker never came up."""

    pod: str
    worker_id: str
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleDown:
    """A scale-down under way in one Deployment.

    Attributes:
        scaled_to: Replicas that were set for it; None while victims are being emptied.
    """

    deployment: str
    started_s: float
    victims: tuple[Victim, ...]
    scaled_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do in this tick, and what to remember.

    Attributes:
        floor: Replicas below which the next scale-down may not go yet; None for no floor.
        wrong_victims: Pods that went although they were not chosen.
    """

    actions: tuple[Action, ...] = ()
    state: ScaleDown | None = None
    floor: int | None = None
    wrong_victims: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the protocol looks at.

    Attributes:
        target: Replicas wanted of this Deployment.
        cordon_timeout_s: How long a victim may be busy before it is let be.
        workers_known: Heartbeats could be read; without them nobody is taken away.
    """

    deployment: DeploymentView
    pods: Sequence[PodView]
    workers: Sequence[WorkerStatus]
    target: int
    policy: ScaleDownPolicy
    cordon_timeout_s: float
    workers_known: bool = True


def step(state: ScaleDown | None, situation: Situation, now_s: float) -> Step:
    """Do the next step of a scale-down, or begin one, or call it off."""
    deployment, target = situation.deployment, situation.target
    if state is not None and state.scaled_to is not None:
        return _verify(state, situation)
    if target >= deployment.replicas:
        return _call_off(state, situation)
    if deployment.replica_sets > 1:
        return Step(actions=_let_be(state), state=None)  # a rollout moves pods by itself
    if situation.policy is not ScaleDownPolicy.IDLE_ONLY:
        return _at_once(situation, now_s)
    if not situation.workers_known:
        return Step(state=state)  # unknown means keep; the cordons run out by themselves
    return _begin(situation, now_s) if state is None else _go_on(state, situation, now_s)


def choose_victims(situation: Situation) -> tuple[Victim, ...]:
    """Choose as many pods as are to go: without a worker, then idle, then the youngest work."""
    by_host = {worker.hostname: worker for worker in situation.workers}
    count = situation.deployment.replicas - situation.target
    candidates = [pod for pod in situation.pods if not pod.is_deleting]

    def rank(pod: PodView) -> tuple[int, int, int, float]:
        worker = by_host.get(pod.name)
        if worker is None:
            # A ready pod without a heartbeat is an unknown: the last to go.
            return (3 if pod.is_ready else 0, 0, 0, -pod.created_s)
        load = worker.busy + worker.held
        return (1 if load == 0 else 2, load, 0, -pod.created_s)

    chosen = sorted(candidates, key=rank)[:count]
    victims = []
    for pod in chosen:
        worker = by_host.get(pod.name)
        if worker is None and pod.is_ready:
            continue
        victims.append(Victim(pod=pod.name, worker_id=worker.worker_id if worker else ""))
    return tuple(victims)


def _begin(situation: Situation, now_s: float) -> Step:
    victims = choose_victims(situation)
    if not victims:
        return Step(floor=situation.deployment.replicas)
    state = ScaleDown(deployment=situation.deployment.name, started_s=now_s, victims=victims)
    return Step(actions=_cordon(victims), state=state)


def _go_on(state: ScaleDown, situation: Situation, now_s: float) -> Step:
    workers = {worker.worker_id: worker for worker in situation.workers}
    pods = {pod.name: pod for pod in situation.pods}
    wanted = situation.deployment.replicas - situation.target
    victims = tuple(v for v in state.victims if v.pod in pods)[:wanted]
    dropped = tuple(v for v in state.victims if v not in victims)
    confirmed = tuple(v for v in victims if is_empty(v, workers, pods))
    is_over = now_s - state.started_s >= situation.cordon_timeout_s
    if len(confirmed) < len(victims) and not is_over:
        return Step(
            actions=(*_uncordon(dropped), *_cordon(victims)), state=replace(state, victims=victims)
        )
    let_be = tuple(v for v in victims if v not in confirmed)
    actions: tuple[Action, ...] = _uncordon((*dropped, *let_be))
    if not confirmed:
        return Step(actions=(*actions, _abandoned(let_be)), floor=situation.deployment.replicas)
    finals = tuple(replace(victim, is_confirmed=True) for victim in confirmed)
    actions = (*actions, *_finalize(finals, pods))
    if not _controller_has_seen(finals, situation):
        return Step(actions=actions, state=replace(state, victims=finals))
    to = situation.deployment.replicas - len(finals)
    scale = SetReplicas(
        deployment=state.deployment,
        replicas=to,
        resource_version=situation.deployment.resource_version,
    )
    floor = to if let_be else None
    return Step(
        actions=(*actions, scale), state=replace(state, victims=finals, scaled_to=to), floor=floor
    )


def is_empty(
    victim: Victim, workers: Mapping[str, WorkerStatus], pods: Mapping[str, PodView]
) -> bool:
    """Whether a victim certainly runs nothing and will not begin anything."""
    if not victim.worker_id:
        return not pods[victim.pod].is_ready
    worker = workers.get(victim.worker_id)
    if worker is None:
        # Its heartbeat is gone: the worker ended, and its pod with it or not ready.
        return not pods[victim.pod].is_ready
    return worker.cordoned_since_ms > 0 and worker.busy == 0 and worker.held == 0


def _controller_has_seen(victims: Sequence[Victim], situation: Situation) -> bool:
    """Whether the ReplicaSet's own count of ready pods has left the victims out."""
    names = {victim.pod for victim in victims}
    if any(pod.is_ready for pod in situation.pods if pod.name in names):
        return False
    others = sum(pod.is_ready for pod in situation.pods if pod.name not in names)
    return situation.deployment.ready <= others


def _verify(state: ScaleDown, situation: Situation) -> Step:
    """After the scale: are those who left the ones who were chosen?"""
    alive = {pod.name for pod in situation.pods if not pod.is_deleting}
    victims_left = [victim for victim in state.victims if victim.pod in alive]
    expected = state.scaled_to if state.scaled_to is not None else 0
    if len(alive) > max(expected, situation.deployment.replicas) and victims_left:
        return Step(actions=_cordon(state.victims, FINAL_CORDON_S), state=state)
    if not victims_left:
        return Step()
    actions = (
        *_uncordon(victims_left),
        *(SetDeletionCost(pod=victim.pod, cost=0) for victim in victims_left),
        EmitEvent(
            reason=EventReason.WRONG_VICTIM,
            message=f"{len(victims_left)} other worker(s) than those chosen were removed; "
            f"kept instead: {', '.join(victim.pod for victim in victims_left)}.",
            is_warning=True,
        ),
    )
    return Step(actions=actions, wrong_victims=len(victims_left))


def _call_off(state: ScaleDown | None, situation: Situation) -> Step:
    if state is None:
        return Step()
    costs = {pod.name: pod.deletion_cost for pod in situation.pods}
    resets = tuple(
        SetDeletionCost(pod=victim.pod, cost=0)
        for victim in state.victims
        if costs.get(victim.pod, 0) != 0
    )
    return Step(actions=(*_uncordon(state.victims), *resets))


def _at_once(situation: Situation, now_s: float) -> Step:
    """Drain and Immediate: the kubelet's TERM does the rest; idle workers still go first."""
    victims = choose_victims(situation)
    costs = {pod.name: pod.deletion_cost for pod in situation.pods}
    marks = tuple(
        SetDeletionCost(pod=victim.pod, cost=VICTIM_COST)
        for victim in victims
        if costs.get(victim.pod) != VICTIM_COST
    )
    scale = SetReplicas(
        deployment=situation.deployment.name,
        replicas=situation.target,
        resource_version=situation.deployment.resource_version,
    )
    return Step(actions=(*marks, scale))


def _finalize(victims: Sequence[Victim], pods: Mapping[str, PodView]) -> tuple[Action, ...]:
    marks = tuple(
        SetDeletionCost(pod=victim.pod, cost=VICTIM_COST)
        for victim in victims
        if pods[victim.pod].deletion_cost != VICTIM_COST
    )
    return (*_cordon(victims, FINAL_CORDON_S, is_final=True), *marks)


def _cordon(
    victims: Sequence[Victim], ttl_s: float = CORDON_S, *, is_final: bool = False
) -> tuple[Action, ...]:
    return tuple(
        CordonWorker(worker_id=victim.worker_id, ttl_s=ttl_s, is_final=is_final)
        for victim in victims
        if victim.worker_id
    )


def _uncordon(victims: Sequence[Victim]) -> tuple[Action, ...]:
    return tuple(UncordonWorker(worker_id=v.worker_id) for v in victims if v.worker_id)


def _let_be(state: ScaleDown | None) -> tuple[Action, ...]:
    return _uncordon(state.victims) if state else ()


def _abandoned(let_be: Sequence[Victim]) -> EmitEvent:
    return EmitEvent(
        reason=EventReason.SCALE_DOWN_ABANDONED,
        message=f"{len(let_be)} worker(s) stayed busy beyond the cordon time-out and are kept.",
    )
