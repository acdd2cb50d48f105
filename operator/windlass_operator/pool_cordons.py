"""Cordons that nobody works on: a worker that takes nothing, long after its cordon should be gone.

A cordon is a lease of a scale-down. One that outlives its scale-down, and does not go although it
is not renewed, comes from somebody else, or from a mistake: a person has to look. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from windlass_operator.observed import PoolObserved
from windlass_operator.plan import EmitEvent
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reasons import EventReason
from windlass_operator.scale_down import CORDON_S

#: Older cordons, of which no scale-down knows, are stuck.
STUCK_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordons:
    """What was found.

    Attributes:
        stuck: Names of the pods, in their order.
    """

    memory: PoolMemory
    stuck: tuple[str, ...] = ()
    actions: tuple[EmitEvent, ...] = field(default=())


def watch_cordons(
    observed: PoolObserved, before: PoolMemory, after: PoolMemory, now_s: float
) -> Cordons:
    """Find the stuck ones, and say those that are new.

    Args:
        observed: The pool.
        before: The memory with the scale-downs of the last tick.
        after: The memory with those of this one; what was found is added to it.
        now_s: The instant.
    """
    ending = {pod.name for pod in observed.pods if pod.is_deleting}
    names = {worker.worker_id: worker.hostname for worker in observed.workers}
    if not observed.workers_known:  # old heartbeats are no news
        return _found(after, tuple(names[one] for one in before.stuck if one in names))
    ours = {
        victim.worker_id
        for memory in (before, after)
        for under_way in memory.scale_downs.values()
        for victim in under_way.victims
    }
    cordoned = {
        worker.worker_id: worker.cordoned_since_ms / 1000
        for worker in observed.workers
        if worker.cordoned_since_ms
        and not worker.draining
        and worker.hostname not in ending
        and worker.worker_id not in ours
    }
    seen = {worker_id: before.cordons.get(worker_id, now_s) for worker_id in cordoned}
    stuck = frozenset(
        worker_id
        for worker_id, since_s in cordoned.items()
        # A heartbeat may be older than the end of the scale-down, and a lease runs out by itself.
        if now_s - since_s >= STUCK_S and now_s - seen[worker_id] >= CORDON_S
    )
    memory = after
    if seen or stuck or after.cordons or after.stuck:
        memory = replace(after, cordons=seen, stuck=stuck)
    news = tuple(names[one] for one in stuck - before.stuck)
    return replace(
        _found(memory, tuple(names[one] for one in stuck)), actions=(_event(news),) if news else ()
    )


def _found(memory: PoolMemory, pods: tuple[str, ...]) -> Cordons:
    return Cordons(memory=memory, stuck=tuple(sorted(pods)))


def _event(pods: tuple[str, ...]) -> EmitEvent:
    return EmitEvent(reason=EventReason.CORDON_STUCK, message=said(pods), is_warning=True)


def said(pods: tuple[str, ...]) -> str:
    """Say it in words."""
    shown = sorted(pods)[:5]
    more = f" and {len(pods) - len(shown)} more" if len(pods) > len(shown) else ""
    return (
        f"Cordoned for more than {STUCK_S:g} s without a scale-down under way, so they take no "
        f"tasks: {', '.join(shown)}{more}. If this stays, delete these pods."
    )
