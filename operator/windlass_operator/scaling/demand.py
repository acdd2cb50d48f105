"""The slots one queue needs, absolute and from its work: never a ratio of what runs already.

Source: Little's law for the steady part (L = lambda * S); the rest drains the backlog within the
queue's drain target.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    if queue.service_s is None:
        return queue.work / queue.tasks_per_slot
    waiting = queue.backlog + queue.due_soon
    rate = math.inf if queue.rate_limit is None else queue.rate_limit
    arriving = min(queue.arrival_rate, rate)
    steady = arriving * queue.service_s / target_utilization
    drain = waiting * queue.service_s / queue.drain_target_s
    if math.isfinite(rate):
        # More slots than the limit lets through would only wait.
        drain = min(drain, max(0.0, (rate - arriving) * queue.service_s))
    most = max(queue.work, math.ceil(round(steady, 9)))
    cap = math.inf if queue.concurrency_cap is None else queue.concurrency_cap
    return min(steady + drain, most, cap)
