"""Arrivals and run times of a queue, smoothed from the totals its depth reports."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: Half-life of both averages, seconds: two minutes make a change of load felt almost whole.
HALF_LIFE_S = 30.0
#: Messages of one tick that move the average run time halfway; few samples move it little.
_SERVICE_SAMPLES = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTotals:
    """Ever-growing counters of a queue, as read at one instant."""

    at_s: float
    enqueued: int
    completed: int
    service_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueHistory:
    """Averages of one queue, and the totals they were last updated from.

    Attributes:
        arrival_rate: Messages a second; exactly 0 after `quiet_after_s` without any.
        service_s: Seconds a message; None until one was measured.
        last_arrival_s: When something was last enqueued.
    """

    totals: QueueTotals | None = None
    arrival_rate: float = 0.0
    service_s: float | None = None
    last_arrival_s: float = -math.inf


def update(history: QueueHistory, totals: QueueTotals, quiet_after_s: float) -> QueueHistory:
    """Fold one more reading in.

    Counters that went back (the broker was flushed or restored) start anew and teach nothing.

    Args:
        history: What was known.
        totals: The new reading.
        quiet_after_s: After so long without arrivals the rate is exactly 0.
    """
    before = history.totals
    if before is None or totals.at_s <= before.at_s:
        return replace(history, totals=totals if before is None else before)
    if totals.enqueued < before.enqueued or totals.completed < before.completed:
        return replace(history, totals=totals)
    passed_s = totals.at_s - before.at_s
    arrived = totals.enqueued - before.enqueued
    weight = 1.0 - 0.5 ** (passed_s / HALF_LIFE_S)
    rate = history.arrival_rate + weight * (arrived / passed_s - history.arrival_rate)
    last_arrival_s = totals.at_s if arrived else history.last_arrival_s
    if totals.at_s - last_arrival_s >= quiet_after_s:
        rate = 0.0
    return QueueHistory(
        totals=totals,
        arrival_rate=rate,
        service_s=_service_s(history.service_s, before, totals),
        last_arrival_s=last_arrival_s,
    )


def _service_s(known: float | None, before: QueueTotals, now: QueueTotals) -> float | None:
    done = now.completed - before.completed
    spent_ms = now.service_ms - before.service_ms
    if done <= 0 or spent_ms < 0 or not math.isfinite(spent_ms):
        return known
    measured = max(spent_ms / done / 1000.0, 1e-6)
    if known is None:
        return measured
    return known + (done / (done + _SERVICE_SAMPLES)) * (measured - known)
