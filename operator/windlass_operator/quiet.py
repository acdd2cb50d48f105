"""Which objects need no look in this tick: those of which nothing changed since nothing was to do.

A look is a pure function of what it is given, so for the same input it is left out. What runs on
by the clock (windows, cordons, retries) belongs to pools with work or workers; these are looked at
with every tick. Nothing is left out for longer than a minute, whatever this module thinks. Pure.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass_operator.observe import World
from windlass_operator.observed import PoolObserved, QueueView
from windlass_operator.plan import Plan, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.scaling.decide import ScaleDecision
from windlass_operator.scaling.stabilize import Hold
from windlass_operator.schedule_observed import ScheduleObserved
from windlass_operator.store import Key

#: Everything is looked at this often, seconds.
LONGEST_S = 60.0
_Name = tuple[str, Key]


@dataclass(frozen=True, slots=True)
class _Look:
    seen: tuple[Any, ...]
    at_s: float


@dataclass(slots=True)
class Quiet:
    """What was seen of each object when nothing was to do about it."""

    _looks: dict[_Name, _Look] = field(default_factory=dict)

    def is_quiet(self, kind: str, key: Key, seen: tuple[Any, ...], now_s: float) -> bool:
        """Whether the object was seen like this before, and nothing was to do."""
        look = self._looks.get((kind, key))
        return look is not None and 0 <= now_s - look.at_s < LONGEST_S and look.seen == seen

    def was_left_out(self, kind: str, key: Key) -> bool:
        """Whether it was quiet at its last look, so that there may have been ticks since."""
        return (kind, key) in self._looks

    def note(
        self, kind: str, key: Key, seen: tuple[Any, ...], now_s: float, *, is_settled: bool
    ) -> None:
        """Take the outcome of a look in."""
        if is_settled:
            self._looks[kind, key] = _Look(seen, now_s)
        else:
            self._looks.pop((kind, key), None)

    def forget(self, world: World) -> None:
        """Forget objects that are gone."""
        declared: dict[str, Container[Key]] = {
            "TaskQueue": world.queues,
            "WorkerPool": world.pools,
            "BeatSchedule": world.schedules,
        }
        for kind, key in [name for name in self._looks if name[1] not in declared[name[0]]]:
            del self._looks[kind, key]


def seen_of_queue(world: World, key: Key, record: object, bound: str | None) -> tuple[Any, ...]:
    """Return all that a look at a queue depends on, but for the time.

    Args:
        world: Of this tick.
        key: Of the queue.
        record: As the broker has it.
        bound: What its Secret was last for.
    """
    view, address = world.views[key], world.addresses.get(key)
    return (*_of_view(view), address, record, bound, tuple(world.serving.get(key, ())))


def seen_of_pool(world: World, key: Key, revision: int) -> tuple[Any, ...]:
    """Return all that a look at a pool without workers depends on, but for the time.

    Args:
        world: Of this tick.
        key: Of the pool.
        revision: Of its children.
    """
    pool = world.pools[key]
    views = [world.views.get((key[0], ref.name)) for ref in pool.spec.queues]
    queues = tuple(None if view is None else (_of_view(view), _rates(view)) for view in views)
    serving = tuple(len(world.serving[key[0], ref.name]) for ref in pool.spec.queues)
    return pool, revision, queues, serving, world.shares.get(key)


def seen_of_schedule(observed: ScheduleObserved) -> tuple[Any, ...]:
    """Return all that a look at a schedule depends on, but for the time."""
    view = observed.view
    broker = view.broker
    said = None if broker is None else (broker.error, broker.detail)
    known = (observed.record, observed.is_known, observed.refusal)
    return observed.schedule, *known, view.queue, said


def is_settled(plan: Plan, status: Mapping[str, Any]) -> bool:
    """Whether a plan would change nothing, neither now nor when its status may be written."""
    return all(isinstance(action, SetStatus) and action.status == status for action in plan.actions)


def is_asleep(observed: PoolObserved, memory: PoolMemory, decision: ScaleDecision) -> bool:
    """Whether a pool has no workers, wants none, and has nothing under way."""
    has_history = (
        memory.scale_downs
        or memory.floors
        or memory.cordons
        or memory.stuck
        or memory.corrections
        or memory.conflicts
    )
    return (
        not has_history
        and not observed.pods
        and not any(d.replicas or d.current for d in observed.deployments)
        and decision.replicas == decision.wanted == 0
        and decision.hold is Hold.NONE
        and all(_is_empty(view) for view in observed.queues)
    )


def _is_empty(view: QueueView) -> bool:
    depth = view.depth
    return (
        view.queue is not None
        and view.broker is not None
        and view.broker.error is None
        and depth is not None
        and depth.backlog == view.due_soon == depth.started == 0
        and view.arrival_rate == 0
    )


def _of_view(view: QueueView) -> tuple[Any, ...]:
    broker = view.broker
    said = None if broker is None else (broker.broker_id, broker.error, broker.detail)
    return view.queue, view.depth, view.conflict, view.aside, said


def _rates(view: QueueView) -> tuple[Any, ...]:
    return view.arrival_rate, view.service_s, view.due_soon
