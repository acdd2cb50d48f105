"""Taking workers away without killing a task: cordon -> empty -> unready -> scale. Pure.

    choose     idle workers first, then those with the least to do
    cordon     the broker gives them nothing more (a lease of 30 s, renewed each tick)
    empty      who is empty is confirmed and goes on at once; who does not become empty in time is
               let be, and kept for a while
    proven     a later heartbeat says that a confirmed one is empty still
    unready    a cordoned worker is not ready, and costs least: the ReplicaSet takes it first
    scale      only when the Deployment's status shows that the controller has seen that

Why this order: a ReplicaSet removes pods that are not ready before those that are, whatever they
run. So readiness must be gone from the victims, and from nobody else, before replicas falls.
Demand that returns before the scale un-cordons everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.workerpool import ScaleDownPolicy
from windlass_operator.plan import (
    Action,
    CordonWorker,
    EmitEvent,
    SetDeletionCost,
    SetReplicas,
    UncordonWorker,
)
from windlass_operator.reasons import EventReason
from windlass_operator.victims import (
    Situation,
    Victim,
    choose_victims,
    is_empty,
    is_proven,
    with_workers,
)

CORDON_S = 30.0
#: A confirmed victim's cordon outlives a few missed ticks, so that it cannot come back before its
#: pod ends; and not much more, or an operator that dies half-way would leave idle zombies.
FINAL_CORDON_S = 120.0
#: A confirmed victim that does not turn unready within this time is let be.
STUCK_S = 120.0
VICTIM_COST = -1000
#: So long after a victim was chosen or confirmed its worker's answer is looked for this often: it
#: comes within a second or two. A victim that is busy beyond that is looked at with every tick.
BRISK_S = 20.0
LOOK_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleDown:
    """A scale-down under way in one Deployment.

    Attributes:
        finalized_s: When the first victims were confirmed.
        scaled_to: Replicas that were set for it; None while victims are being emptied.
        guard: Resource version of the Deployment that this was set for.
    """

    deployment: str
    victims: tuple[Victim, ...]
    finalized_s: float | None = None
    scaled_to: int | None = None
    guard: str = ""


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


def step(state: ScaleDown | None, situation: Situation, now_s: float) -> Step:
    """Do the next step of a scale-down, or begin one, or call it off."""
    deployment = situation.deployment
    if state is not None and state.scaled_to is not None:
        return _after_scale(state, situation, now_s)
    is_rolling_out = deployment.replica_sets > 1  # a rollout moves pods by itself
    if situation.target >= deployment.replicas or is_rolling_out:
        return _call_off(state, situation)
    if situation.policy is not ScaleDownPolicy.IDLE_ONLY:
        return _at_once(situation, now_s)
    if not situation.workers_known:
        return Step(state=state)  # unknown means keep; the cordons run out by themselves
    return _begin(situation, now_s) if state is None else _go_on(state, situation, now_s)


def look_again_s(state: ScaleDown, now_s: float) -> float | None:
    """When to look at a scale-down again at the latest, seconds; None: with the next tick."""
    if state.scaled_to is not None:
        return None
    is_brisk = any(now_s - max(v.since_s, v.confirmed_s) < BRISK_S for v in state.victims)
    return LOOK_AGAIN_S if is_brisk else None


def _begin(situation: Situation, now_s: float) -> Step:
    deployment = situation.deployment
    if situation.present <= situation.target:
        # What is too much was never made (a quota, say): nobody has to go.
        return Step(actions=(_scale(situation, situation.target),))
    victims = choose_victims(situation, now_s)
    if not victims:
        return Step()
    state = ScaleDown(deployment=deployment.name, victims=victims)
    return Step(actions=_cordon(victims, situation), state=state)


def _go_on(state: ScaleDown, situation: Situation, now_s: float) -> Step:
    pods = situation.alive
    there = sorted((v for v in state.victims if v.pod in pods), key=lambda v: not v.is_confirmed)
    wanted = situation.present - situation.target
    if not there or wanted <= 0:
        begun = _begin(situation, now_s)
        return replace(begun, actions=(*_release(there, situation), *begun.actions))
    victims, dropped = with_workers(there[:wanted], situation.workers), there[wanted:]
    victims += choose_victims(situation, now_s, victims)
    workers = {worker.worker_id: worker for worker in situation.workers}
    empty = tuple(v for v in victims if is_empty(v, workers, pods[v.pod]))
    busy = tuple(replace(v, is_confirmed=False) for v in victims if v not in empty)
    let_be = tuple(v for v in busy if now_s - v.since_s >= situation.cordon_timeout_s)
    kept = tuple(v for v in victims if v in empty)
    kept += tuple(v for v in busy if v not in let_be)
    gone = (*dropped, *let_be)
    marked = _marked_besides((*empty, *gone), situation)
    released = (
        *_release(gone, situation),
        *_costs(marked, 0, situation),
        *_abandoned(let_be),
    )
    floor = situation.present - len(kept) if let_be else None
    if not kept:
        return Step(actions=released, floor=floor)
    state = replace(state, victims=kept)
    if not empty:
        return Step(actions=(*released, *_cordon(kept, situation)), state=state, floor=floor)
    confirmed = _confirm(state, empty, situation, now_s)
    return replace(
        confirmed,
        actions=(*released, *confirmed.actions),
        floor=floor if confirmed.floor is None else confirmed.floor,
    )


def _confirm(state: ScaleDown, empty: Sequence[Victim], situation: Situation, now_s: float) -> Step:
    """Make the empty victims' cordons final; scale when it is proven that this held."""
    workers = {worker.worker_id: worker for worker in situation.workers}
    finals = tuple(_confirmed(victim, workers, now_s) for victim in empty)
    began_s = now_s if state.finalized_s is None else state.finalized_s
    waiting = tuple(victim for victim in state.victims if victim not in empty)
    state = replace(state, victims=(*finals, *waiting), finalized_s=began_s)
    marks = _costs([victim.pod for victim in finals], VICTIM_COST, situation)
    actions = (*_cordon(state.victims, situation), *marks)
    are_proven = all(is_proven(victim, workers, now_s) for victim in empty)
    are_proven = are_proven and not _marked_besides(finals, situation)
    if are_proven and _controller_has_seen(finals, situation):
        to = situation.present - len(finals)
        scaled = replace(state, scaled_to=to, guard=situation.deployment.resource_version)
        return Step(actions=(*actions, _scale(situation, to)), state=scaled)
    if now_s - began_s > STUCK_S:
        return _stuck(state, situation)
    return Step(actions=actions, state=state)


def _confirmed(victim: Victim, workers: Mapping[str, WorkerStatus], now_s: float) -> Victim:
    if victim.is_confirmed:
        return victim
    worker = workers.get(victim.worker_id)
    beat_ms = worker.seen_ms if worker else 0
    return replace(victim, is_confirmed=True, confirmed_s=now_s, beat_ms=beat_ms)


def _controller_has_seen(victims: Sequence[Victim], situation: Situation) -> bool:
    """Whether the ReplicaSet's own count of ready pods has left the victims out."""
    names = {victim.pod for victim in victims}
    if any(pod.is_ready for pod in situation.pods if pod.name in names):
        return False
    others = sum(pod.is_ready for pod in situation.pods if pod.name not in names)
    return situation.deployment.ready <= others


def _after_scale(state: ScaleDown, situation: Situation, now_s: float) -> Step:
    """After the scale: was it taken, and are those who left the ones who were chosen?"""
    deployment, expected = situation.deployment, state.scaled_to or 0
    if deployment.replicas > expected:
        is_unseen = deployment.resource_version == state.guard
        if is_unseen and situation.target < deployment.replicas:
            # Not seen yet, or never taken: under the guard it can be said again.
            renewed = _cordon(state.victims, situation)
            return Step(actions=(*renewed, _scale(situation, expected)), state=state)
        # Somebody changed the Deployment first, or demand is back: look at it afresh.
        return step(replace(state, scaled_to=None, guard=""), situation, now_s)
    alive = situation.alive
    waiting = tuple(v for v in state.victims if not v.is_confirmed)
    left = tuple(v for v in state.victims if v.is_confirmed and v.pod in alive)
    if left and len(alive) > deployment.replicas:
        return Step(actions=_cordon(state.victims, situation), state=state)
    rest = replace(state, victims=waiting, finalized_s=None, scaled_to=None, guard="")
    after = Step(actions=_cordon(waiting, situation), state=rest if waiting else None)
    if not left:
        return after
    event = EmitEvent(
        reason=EventReason.WRONG_VICTIM,
        message=f"{len(left)} other worker(s) than those chosen were removed; "
        f"kept instead: {', '.join(victim.pod for victim in left)}.",
        is_warning=True,
    )
    actions = (*_release(left, situation), *after.actions, event)
    return replace(after, actions=actions, wrong_victims=len(left))


def _call_off(state: ScaleDown | None, situation: Situation) -> Step:
    """Nobody has to go: give back what this or an operator before us has taken."""
    victims = state.victims if state else ()
    forgotten = [
        Victim(pod=worker.hostname, worker_id=worker.worker_id)
        for worker in situation.workers
        if worker.cordoned_since_ms > 0
    ]
    marked = [
        Victim(pod=pod.name, worker_id="")
        for pod in situation.alive.values()
        if pod.deletion_cost == VICTIM_COST
    ]
    return Step(actions=_release((*victims, *forgotten, *marked), situation))


def _stuck(state: ScaleDown, situation: Situation) -> Step:
    event = EmitEvent(
        reason=EventReason.SCALE_DOWN_ABANDONED,
        message=f"{len(state.victims)} worker(s) were empty and cordoned, but the Deployment "
        f"counted them as ready for {STUCK_S:g} s. They are kept.",
        is_warning=True,
    )
    actions = (*_release(state.victims, situation), event)
    return Step(actions=actions, floor=situation.deployment.replicas)


def _at_once(situation: Situation, now_s: float) -> Step:
    """Drain and Immediate: the kubelet's TERM does the rest; idle workers still go first."""
    victims = choose_victims(situation, now_s)
    marks = _costs([victim.pod for victim in victims], VICTIM_COST, situation)
    return Step(actions=(*marks, _scale(situation, situation.target)))


def _scale(situation: Situation, replicas: int) -> SetReplicas:
    return SetReplicas(
        deployment=situation.deployment.name,
        replicas=replicas,
        resource_version=situation.deployment.resource_version,
    )


def _costs(names: Iterable[str], cost: int, situation: Situation) -> tuple[Action, ...]:
    pods = situation.alive
    return tuple(
        SetDeletionCost(pod=name, cost=cost)
        for name in dict.fromkeys(names)
        if name in pods and pods[name].deletion_cost != cost
    )


def _marked_besides(victims: Sequence[Victim], situation: Situation) -> list[str]:
    """Pods that would go first although it is not their turn; an operator before us marked them."""
    names = {victim.pod for victim in victims}
    return [
        pod.name
        for pod in situation.alive.values()
        if pod.deletion_cost == VICTIM_COST and pod.name not in names
    ]


def _cordon(victims: Sequence[Victim], situation: Situation) -> tuple[Action, ...]:
    told = victims if situation.workers_known else ()  # a broker that is down hears nothing
    return tuple(
        CordonWorker(
            worker_id=victim.worker_id,
            ttl_s=FINAL_CORDON_S if victim.is_confirmed else CORDON_S,
            is_final=victim.is_confirmed,
        )
        for victim in told
        if victim.worker_id
    )


def _release(victims: Iterable[Victim], situation: Situation) -> tuple[Action, ...]:
    """Un-cordon, if the broker can be told, and take the mark of a victim away."""
    victims = tuple(victims)
    ids = dict.fromkeys(v.worker_id for v in victims if v.worker_id)
    told = ids if situation.workers_known else ()
    return (
        *(UncordonWorker(worker_id=worker_id) for worker_id in told),
        *_costs([victim.pod for victim in victims], 0, situation),
    )


def _abandoned(busy: Sequence[Victim]) -> tuple[EmitEvent, ...]:
    if not busy:
        return ()
    event = EmitEvent(
        reason=EventReason.SCALE_DOWN_ABANDONED,
        message=f"{len(busy)} worker(s) stayed busy beyond the cordon time-out and are kept.",
    )
    return (event,)
