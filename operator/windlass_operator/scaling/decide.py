"""The decision for one pool: how many replicas next, and why, in words with its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from windlass_operator.scaling.demand import QueueDemand, limits_felt
from windlass_operator.scaling.stabilize import (
    Behavior,
    Hold,
    Memory,
    record_change,
    remember,
    stabilize,
)


class Reason(StrEnum):
    """Why the count is what it is. Part of the API: status and events carry it."""

    #: As many as the work wants.
    STEADY = "Steady"
    #: More than before.
    SCALED_UP = "ScaledUp"
    #: Fewer than before.
    SCALED_DOWN = "ScaledDown"
    #: The work is done.
    SCALED_TO_ZERO = "ScaledToZero"
    #: The work wants another number; a window, a step or a tolerance keeps this one for now.
    HELD = "Held"
    #: A queue cannot be read: nothing shrinks.
    METRICS_MISSING = "MetricsMissing"
    #: It could not be read for long: `fallback` decides.
    FALLBACK = "Fallback"
    #: More workers would not help, since those there are do not start.
    GROWTH_BLOCKED = "GrowthBlocked"
    #: spec.paused is set.
    PAUSED = "Paused"


class FallbackBehavior(StrEnum):
    """What to do when the broker cannot be read for long."""

    HOLD = "Hold"
    STATIC = "Static"
    AT_LEAST = "AtLeast"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """After `failure_threshold` failed reads in a row, use `replicas` as `behavior` says."""

    behavior: FallbackBehavior = FallbackBehavior.HOLD
    replicas: int = 0
    failure_threshold: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolInputs:
    """Everything a decision depends on.

    Attributes:
        current: Replicas that are asked for now.
        slots: Slots of one replica.
        queues: Demand of each queue; the last known one where a queue could not be read.
        shares: Slots of each queue's need that fall to this pool (`divide`).
        shared: Queues that other pools serve too.
        missing: Queues that could not be read in this tick.
        failures: Reads that failed in a row.
        activation: Work up to this wakes nobody.
        growth_blocked: Why more replicas would not help (crash loop, unschedulable), '' if they do.
        untried: Queues with parked messages that no worker of the pool's newest template has been
            there for: they count as one task, so that an image which may know them is started.
        target_utilization: As the shares were made with.
    """

    current: int
    slots: int
    queues: tuple[QueueDemand, ...]
    shares: Mapping[str, float]
    behavior: Behavior
    memory: Memory
    shared: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    failures: int = 0
    activation: int = 0
    fallback: Fallback = field(default_factory=Fallback)
    growth_blocked: str = ""
    paused: bool = False
    untried: frozenset[str] = frozenset()
    target_utilization: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleDecision:
    """What to do and why.

    Attributes:
        replicas: The next count.
        wanted: What the work alone asks for, within the bounds.
        unbounded: The same without the bounds.
        hold: What kept `replicas` from `wanted`.
        memory: For the next tick.
    """

    replicas: int
    wanted: int
    unbounded: int
    reason: Reason
    message: str
    hold: Hold
    memory: Memory

    @property
    def limited(self) -> bool:
        """The bounds, not the work, decide."""
        return self.wanted != self.unbounded


def decide_replicas(inputs: PoolInputs, now_s: float) -> ScaleDecision:
    """Decide one pool's next replica count.

    Missing metrics never become zero: a queue that cannot be read keeps its last known need, and
    while one is missing nothing shrinks.
    """
    behavior = inputs.behavior
    unbounded = wanted_replicas(inputs)
    wanted = max(behavior.minimum, min(behavior.maximum, unbounded))
    active = (
        any(not queue.idle for queue in inputs.queues)
        or bool(inputs.missing)
        or bool(inputs.untried)
    )
    memory = remember(inputs.memory, behavior, now_s, wanted, active=active)
    if inputs.paused:
        return _decision(
            inputs, memory, inputs.current, wanted, unbounded, Reason.PAUSED, Hold.NONE
        )
    replicas, hold = stabilize(memory, behavior, now_s, inputs.current, idle=not active)
    replicas, reason = _corrected(inputs, replicas, hold)
    if replicas != inputs.current:
        memory = record_change(memory, now_s, inputs.current, replicas)
    return _decision(inputs, memory, replicas, wanted, unbounded, reason, hold)


def wanted_replicas(inputs: PoolInputs) -> int:
    """Return what the work asks for, before bounds and windows; 1 at least while there is some."""
    need = sum(inputs.shares.get(queue.name, 0.0) for queue in inputs.queues)
    wanted = math.ceil(round(need / inputs.slots, 9))
    # Of a shared queue only the pools that got a part of it wake up.
    ours = sum(
        queue.work
        for queue in inputs.queues
        if queue.name not in inputs.shared or inputs.shares.get(queue.name, 0.0) > 0
    )
    ours += len(inputs.untried)
    return max(wanted, 1) if ours > inputs.activation else wanted


def _corrected(inputs: PoolInputs, replicas: int, hold: Hold) -> tuple[int, Reason]:
    if inputs.missing:
        kept = max(replicas, min(inputs.current, inputs.behavior.maximum))
        if inputs.failures <= inputs.fallback.failure_threshold:
            return kept, Reason.METRICS_MISSING
        return _fallen_back(inputs, kept), Reason.FALLBACK
    if inputs.growth_blocked and replicas > inputs.current:
        return inputs.current, Reason.GROWTH_BLOCKED
    if replicas > inputs.current:
        return replicas, Reason.SCALED_UP
    if replicas < inputs.current:
        return replicas, Reason.SCALED_DOWN if replicas else Reason.SCALED_TO_ZERO
    return replicas, Reason.STEADY if hold is Hold.NONE else Reason.HELD


def _fallen_back(inputs: PoolInputs, kept: int) -> int:
    fallback, behavior = inputs.fallback, inputs.behavior
    if fallback.behavior is FallbackBehavior.HOLD:
        return kept
    floor = max(behavior.minimum, min(behavior.maximum, fallback.replicas))
    return floor if fallback.behavior is FallbackBehavior.STATIC else max(kept, floor)


def _decision(
    inputs: PoolInputs, memory: Memory, replicas: int, wanted: int, unbounded: int,
    reason: Reason, hold: Hold,
) -> ScaleDecision:  # fmt: skip
    return ScaleDecision(
        replicas=replicas,
        wanted=wanted,
        unbounded=unbounded,
        reason=reason,
        message=explain(inputs, replicas, wanted, unbounded, reason, hold),
        hold=hold,
        memory=memory,
    )


def explain(
    inputs: PoolInputs, replicas: int, wanted: int, unbounded: int, reason: Reason, hold: Hold
) -> str:
    """Say the decision in one sentence a queue and one for the outcome."""
    parts = [_explain_queue(inputs, queue) for queue in inputs.queues]
    bounds = f"{inputs.behavior.minimum}..{inputs.behavior.maximum}"
    outcome = (
        f"work wants {unbounded}, bounds {bounds} give {wanted}; {inputs.current} -> {replicas}"
    )
    if hold is not Hold.NONE and replicas != wanted:
        outcome += f" (held: {hold})"
    if reason is Reason.GROWTH_BLOCKED:
        outcome += f" (no growth: {inputs.growth_blocked})"
    return "; ".join([*parts, outcome]) + "."


def number(value: float) -> str:
    """Write a number for a person: three digits that count, never in powers of ten."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def _explain_queue(inputs: PoolInputs, queue: QueueDemand) -> str:
    if queue.name in inputs.missing:
        return f"queue {queue.name}: not readable, last known need is kept"
    if queue.paused:
        return f"queue {queue.name}: paused, {queue.backlog} waiting"
    service = "unmeasured" if queue.service_s is None else f"{number(queue.service_s)} s each"
    parts = [
        f"queue {queue.name}: {queue.backlog} waiting",
        f"{queue.due_soon} due soon",
        f"{queue.running} running",
        f"{number(queue.arrival_rate)}/s arriving",
        service,
        *_explain_aside(inputs, queue),
        *limits_felt(queue, inputs.target_utilization),
        f"{number(inputs.shares.get(queue.name, 0.0))} slots of this pool",
    ]
    return ", ".join(parts)


def _explain_aside(inputs: PoolInputs, queue: QueueDemand) -> list[str]:
    """What is there and is no demand."""
    said = []
    if queue.blocked:
        said.append(f"{queue.blocked} held by limits")
    if queue.parked and queue.name in inputs.untried:
        said.append(f"{queue.parked} parked that a worker of this template may know")
    elif queue.parked:
        said.append(f"{queue.parked} parked that this template does not know")
    return said
