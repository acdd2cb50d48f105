"""The slots one queue needs, absolute and from its work: never a ratio of what runs already.

Source: Little's law for the steady part (L = lambda * S); the rest drains the backlog within the
queue's drain target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueDemand:
    """What is known of one queue at one instant.

    Attributes:
        backlog: Ready messages, including those leased and not begun.
        due_soon: Scheduled messages due within the pool's wake horizon.
        running: Messages that workers run now.
        arrival_rate: Messages a second, smoothed; exactly 0 after a quiet down window.
        service_s: Seconds a message takes, smoothed; None while nothing was measured.
        drain_target_s: The backlog should be gone in this time.
        tasks_per_slot: Messages one slot is trusted with while service_s is None.
        rate_limit: Messages a second that the queue lets through, None for no limit.
        concurrency_cap: Slots the queue may use in all, None for no cap.
        blocked: Messages that a limit holds; no demand, since more slots would not help them.
        parked: Messages whose task no worker knows; no demand, for the same reason.
    """

    name: str
    backlog: int = 0
    due_soon: int = 0
    running: int = 0
    arrival_rate: float = 0.0
    service_s: float | None = None
    drain_target_s: float = 60.0
    tasks_per_slot: float = 1.0
    rate_limit: float | None = None
    concurrency_cap: int | None = None
    blocked: int = 0
    parked: int = 0
    paused: bool = False

    @property
    def work(self) -> int:
        """Messages that are there to be done; none while the queue is paused."""
        return 0 if self.paused else self.backlog + self.due_soon + self.running

    @property
    def idle(self) -> bool:
        """Nothing waits that may be taken, and nothing runs, paused or not."""
        return self.running == 0 and self.work == 0


def need_slots(queue: QueueDemand, target_utilization: float = 0.8) -> float:
    """Return the slots a queue needs, a fraction; never more than it has messages.

    Args:
        queue: What is known of it.
        target_utilization: Share of a slot that steady work may use, over 0 to 1.
    """
    if queue.paused:
        return 0.0
    cap = math.inf if queue.concurrency_cap is None else queue.concurrency_cap
    rate = math.inf if queue.rate_limit is None else queue.rate_limit
    waiting = queue.backlog + queue.due_soon
    if queue.service_s is None:
        # No more than the limit lets be begun within the drain target; what runs adds to it.
        may_begin = min(waiting, rate * queue.drain_target_s)
        return min((may_begin + queue.running) / queue.tasks_per_slot, cap)
    arriving = min(queue.arrival_rate, rate)
    steady = arriving * queue.service_s / target_utilization
    drain = waiting * queue.service_s / queue.drain_target_s
    if math.isfinite(rate):
        # More slots than the limit lets through would only wait.
        drain = min(drain, max(0.0, (rate - arriving) * queue.service_s))
    most = max(queue.work, math.ceil(round(steady, 9)))
    return min(steady + drain, most, cap)


def limits_felt(queue: QueueDemand, target_utilization: float = 0.8) -> tuple[str, ...]:
    """Say which of the queue's limits keep its need down, in words: "limited to 10 at once"."""
    free = replace(queue, rate_limit=None, concurrency_cap=None)
    most = need_slots(free, target_utilization)
    said = []
    if queue.rate_limit is not None:
        alone = replace(free, rate_limit=queue.rate_limit)
        if need_slots(alone, target_utilization) < most:
            said.append(f"limited to {rate_words(queue.rate_limit)}")
    if queue.concurrency_cap is not None:
        alone = replace(free, concurrency_cap=queue.concurrency_cap)
        if need_slots(alone, target_utilization) < most:
            said.append(f"limited to {queue.concurrency_cap} at once")
    return tuple(said)


def rate_words(per_s: float) -> str:
    """Write a rate a second in the first unit in which it is 1 or more: 100/s, 30/m, 2.5/h."""
    for unit, seconds in (("s", 1), ("m", 60)):
        if per_s * seconds >= 1:
            return f"{per_s * seconds:.6g}/{unit}"
    return f"{per_s * 3600:.6g}/h"
