"""What a TaskQueue says of messages that are set aside: parked ones and dead letters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass_operator.conditions import Condition
from windlass_operator.observed import QueueObserved
from windlass_operator.plan import EmitEvent
from windlass_operator.pool_status import rounded
from windlass_operator.reasons import ConditionReason, ConditionType, EventReason

#: Tasks that a condition names; `windlass queues --parked` names them all.
MOST_NAMED = 10
#: The schema's bound of status.deadLetters.
MOST_REASONS = 32


def no_capable_worker(observed: QueueObserved) -> Condition:
    """Say that messages are parked, of which tasks, and what to do."""
    depth, aside = observed.view.depth, observed.view.aside
    parked = 0 if depth is None else depth.parked
    tasks = {} if aside is None else aside.tasks
    named = [f"{task} ({count})" for task, count in list(tasks.items())[:MOST_NAMED]]
    if len(tasks) > MOST_NAMED:
        named.append(f"and {len(tasks) - MOST_NAMED} more")
    names = f": {', '.join(named)}" if named else ""
    return Condition(
        type=ConditionType.DEGRADED,
        status=True,
        reason=ConditionReason.NO_CAPABLE_WORKER,
        message=f"{parked} message(s) are of tasks that no worker knows{names}. They wait for one "
        "that does: deploy the code; a pool at zero is started once for each new template. See "
        "`windlass queues --parked`.",
    )


def dead_letters(observed: QueueObserved) -> list[dict[str, Any]]:
    """Return status.deadLetters: counts by reason."""
    return [
        {"reason": reason[:64], "count": count} for reason, count in _by_reason(observed).items()
    ]


def dead_letter_events(observed: QueueObserved) -> tuple[EmitEvent, ...]:
    """Say that there are more dead letters than the status says; one event for all of them.

    A status without them is compared only if it said that there are none: what was there before
    this was counted is no news.
    """
    status = observed.queue.status
    is_known = "deadLetters" in status or status.get("dead") == 0
    if observed.view.conflict or not is_known:
        return ()
    before = {one["reason"]: one["count"] for one in status.get("deadLetters", ())}
    grown = {
        reason: count
        for reason, count in _by_reason(observed).items()
        if count > before.get(reason, 0)
    }
    if not grown:
        return ()
    said = ", ".join(f"{reason} ({count} now)" for reason, count in grown.items())
    return (
        EmitEvent(
            reason=EventReason.DEAD_LETTERED,
            message=f"New dead letters: {said}. See `windlass dlq list -Q "
            f"{observed.queue.queue_name}`.",
            is_warning=True,
        ),
    )


def _by_reason(observed: QueueObserved) -> Mapping[str, int]:
    """Counts by reason, rounded: a flood is news with every second digit, not with every letter."""
    depth, aside = observed.view.depth, observed.view.aside
    if depth is None or not depth.dead or aside is None:
        return {}
    return {reason: rounded(count) for reason, count in list(aside.reasons.items())[:MOST_REASONS]}
