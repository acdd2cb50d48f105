"""The auditor's check of limits: what ran at once, and how many began in any window of time. Pure.

A limit counts leases, and a run lies within its lease: it begins after it and ends before it. A run
whose lease was taken away (frozen, cut off) may go on for a while; what it does is refused by
fencing, and here such a run is known by the later run of the same message, and not counted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator

from chaos_checks import Terms
from chaos_history import Finding, History, Run
from chaos_workload import LIMITS

#: How long after its lease a run may begin, seconds: several leases may begin together then.
HELD_S = 1.0


def hold(found: History, terms: Terms) -> Iterator[Finding]:
    """No limit is exceeded at any time."""
    for (what, key), runs in counted_runs(found).items():
        limit = LIMITS[what]
        name = f"{what} {key}".strip()
        if limit.at_once:
            most, at = most_at_once(runs)
            if most > limit.at_once:
                text = f"{name}: {most} ran at once at {at:.3f}, and {limit.at_once} may"
                yield Finding("limit", text)
        if limit.per_second:
            over = worst_excess([run.start.at for run in runs], limit.per_second)
            # What was stopped with its lease in hand begins later, and then together.
            held_s = HELD_S + max((f.until - f.at for f in found.faults), default=0.0)
            if over > 1 + limit.per_second * held_s:
                text = f"{name}: {over:.0f} more began than {limit.per_second} in each second"
                yield Finding("limit", text)


def counted_runs(found: History) -> dict[tuple[str, str], list[Run]]:
    """Kind and key -> the runs that had a lease until their end, by their start."""
    runs_of: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for runs in found.by_id.values():
        call = found.calls[runs[0].start.n]
        if call.what in LIMITS:
            # They are in the order of their deliveries: only the last one's lease was not lost.
            last_of_each_try = {run.start.retries: run for run in runs}
            runs_of[call.what, call.key] += last_of_each_try.values()
    for each in runs_of.values():
        each.sort(key=lambda run: run.start.at)
    return runs_of


def most_at_once(runs: list[Run]) -> tuple[int, float]:
    """How many ran at once at most, and when."""
    # An end comes before a start at the same time.
    steps = sorted(
        [(run.start.at, 1) for run in runs] + [(run.end_at, -1) for run in runs if run.end],
    )
    running, most, at = 0, 0, 0.0
    for time, step in steps:
        running += step
        if running > most:
            most, at = running, time
    return most, at


def worst_excess(starts: list[float], per_second: float) -> float:
    """By how many the starts of any window exceed the rate times its length, at most.

    The window from start i to start j holds j - i + 1; the largest j - rate * t_j less the smallest
    i - rate * t_i before it is the worst.
    """
    worst, lowest = 0.0, float("inf")
    for number, at in enumerate(starts):
        value = number - per_second * at
        lowest = min(lowest, value)
        worst = max(worst, value - lowest + 1)
    return worst


def busiest_second(starts: list[float]) -> int:
    """How many began within a second at most, for the report."""
    return max(
        (bisect_right(starts, at + 1.0) - number for number, at in enumerate(starts)), default=0
    )
