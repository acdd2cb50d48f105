"""One stabiliser for every direction, zero included.

Up follows at once (or after its own window), down only what a whole window has not needed; small
differences, large steps and a hasty zero are held back. Source: the shape of the Kubernetes HPA's
stabilisation windows and policies, with one difference: the step to zero is under the same rules.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

UP_PERIOD_S = 15.0
UP_STEP = 4
DOWN_PERIOD_S = 60.0


class Hold(StrEnum):
    """What kept the next count from what is wanted."""

    NONE = "None"
    WINDOW = "StabilizationWindow"
    WARMING_UP = "WarmingUp"
    TOLERANCE = "WithinTolerance"
    STEP = "StepLimited"
    IDLE_TIME = "AwaitingIdleTime"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behavior:
    """How fast a pool may change. Times in seconds.

    Attributes:
        scale_to_zero_after_s: Idle time before the last replica goes.
        tolerance: Relative difference that is not worth a change.
        max_disruption: Share of replicas that may go in a minute, over 0 to 1.
    """

    minimum: int = 0
    maximum: int = 10
    up_window_s: float = 0.0
    down_window_s: float = 300.0
    scale_to_zero_after_s: float = 300.0
    tolerance: float = 0.1
    max_disruption: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the stabiliser remembers of one pool.

    Attributes:
        since_s: When observation began; a restarted operator knows nothing of before.
        wanted: (time, wanted replicas), oldest first, no older than the longer window.
        changes: (time, replicas before, replicas after), of the last minute.
        last_active_s: When there was last work.
    """

    since_s: float
    last_active_s: float
    wanted: tuple[tuple[float, int], ...] = field(default=())
    changes: tuple[tuple[float, int, int], ...] = field(default=())


def remember(
    memory: Memory, behavior: Behavior, now_s: float, wanted: int, *, active: bool
) -> Memory:
    """Add what is wanted now and drop what is older than any window.

    Times after now (the clock was set back) are drawn to now, so that they end some day.
    """
    longest = max(behavior.up_window_s, behavior.down_window_s)
    past = tuple((min(at, now_s), n) for at, n in memory.wanted if at >= now_s - longest)
    if past and past[-1][1] == wanted:
        # Every window ends now: of equal counts in a row only the last can make a difference.
        past = past[:-1]
    changes = tuple(
        (min(at, now_s), a, b) for at, a, b in memory.changes if at > now_s - DOWN_PERIOD_S
    )
    return Memory(
        since_s=min(memory.since_s, now_s),
        last_active_s=now_s if active else min(memory.last_active_s, now_s),
        wanted=(*past, (now_s, wanted)),
        changes=changes,
    )


def still_wanted(memory: Memory, now_s: float) -> Memory:
    """Say that what was wanted last was still wanted at a later time, at which nobody asked."""
    if not memory.wanted or memory.wanted[-1][0] >= now_s:
        return memory
    return replace(memory, wanted=(*memory.wanted[:-1], (now_s, memory.wanted[-1][1])))


def record_change(memory: Memory, now_s: float, before: int, after: int) -> Memory:
    """Note that replicas were changed."""
    return Memory(
        since_s=memory.since_s,
        last_active_s=memory.last_active_s,
        wanted=memory.wanted,
        changes=(*memory.changes, (now_s, before, after)),
    )


def stabilize(
    memory: Memory, behavior: Behavior, now_s: float, current: int, *, idle: bool
) -> tuple[int, Hold]:
    """Return the next replica count, and what held it back from what is wanted.

    Args:
        memory: With what is wanted now as its newest entry.
        behavior: Of the pool.
        now_s: The instant.
        current: Replicas now.
        idle: No unpaused queue has work and nothing runs anywhere.
    """
    wanted = memory.wanted[-1][1]
    target, hold = _windowed(memory, behavior, now_s, current)
    if _negligible(behavior, current, target):
        return _clamped(current, behavior), Hold.TOLERANCE
    limited = _within_steps(memory, behavior, now_s, current, target)
    if limited != target:
        target, hold = limited, Hold.STEP
    if target == 0 and current > 0 and not _may_be_zero(memory, behavior, now_s, idle=idle):
        target, hold = min(1, behavior.maximum), Hold.IDLE_TIME
    target = _clamped(target, behavior)
    return target, Hold.NONE if target == wanted else hold


def _negligible(behavior: Behavior, current: int, target: int) -> bool:
    """A small change between two counts of which neither is zero nor a bound."""
    if target == current or 0 in (target, current):
        return False
    if target in (behavior.minimum, behavior.maximum):
        return False
    return abs(target - current) / current <= behavior.tolerance


def _windowed(memory: Memory, behavior: Behavior, now_s: float, current: int) -> tuple[int, Hold]:
    up = min(n for at, n in memory.wanted if at >= now_s - behavior.up_window_s)
    if up > current:
        return up, Hold.WINDOW
    if now_s - memory.since_s < behavior.down_window_s:
        return current, Hold.WARMING_UP
    down = max(n for at, n in memory.wanted if at >= now_s - behavior.down_window_s)
    return min(current, down), Hold.WINDOW


def _within_steps(
    memory: Memory, behavior: Behavior, now_s: float, current: int, target: int
) -> int:
    if target > current:
        raised = sum(
            max(0, after - before)
            for at, before, after in memory.changes
            if at > now_s - UP_PERIOD_S
        )
        start = current - raised
        return max(current, min(target, start + max(UP_STEP, start)))
    lowered = sum(max(0, before - after) for _, before, after in memory.changes)
    start = current + lowered
    return min(current, max(target, start - max(1, int(start * behavior.max_disruption))))


def _may_be_zero(memory: Memory, behavior: Behavior, now_s: float, *, idle: bool) -> bool:
    if not idle or behavior.minimum > 0:
        return False
    return now_s - memory.last_active_s >= behavior.scale_to_zero_after_s


def _clamped(replicas: int, behavior: Behavior) -> int:
    return max(behavior.minimum, min(behavior.maximum, replicas))
