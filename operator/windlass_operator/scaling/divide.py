"""One need a queue, divided among the pools that serve it. Two pools never both do all of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCapacity:
    """What one pool can take.

    Attributes:
        queues: Names of the queues it serves.
        slots: Slots it has at its maximum; those it has now while its workers do not start, and 0
            while it is paused.
    """

    pool: str
    queues: tuple[str, ...]
    slots: int


def share(need: float, capacities: Sequence[int]) -> list[int]:
    """Divide a need by free capacity, in whole slots, the largest remainder first.

    Returns:
        One part for each capacity; their sum is the need, or all capacity if that is less.
    """
    total = sum(capacities)
    if total == 0:
        return [0] * len(capacities)
    wanted = min(math.ceil(round(need, 9)), total)
    exact = [wanted * capacity / total for capacity in capacities]
    parts = [math.floor(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for index in by_remainder[: wanted - sum(parts)]:
        parts[index] += 1
    return parts


def divide(
    needs: Mapping[str, float], pools: Sequence[PoolCapacity]
) -> dict[str, dict[str, float]]:
    """Divide every queue's need among its pools.

    A queue served by one pool keeps its fraction, so that several small ones share a replica; a
    shared queue is divided in whole slots of what the pools have free.

    Returns:
        Pool -> queue -> slots. Every pool has every queue it serves.
    """
    free = {pool.pool: pool.slots for pool in pools}
    shares: dict[str, dict[str, float]] = {
        pool.pool: dict.fromkeys(pool.queues, 0.0) for pool in pools
    }
    for queue, need in needs.items():
        serving = sorted(pool.pool for pool in pools if queue in pool.queues)
        if len(serving) == 1:
            shares[serving[0]][queue] = need
            free[serving[0]] = max(0, free[serving[0]] - math.ceil(round(need, 9)))
            continue
        for pool, part in zip(serving, share(need, [free[p] for p in serving]), strict=True):
            shares[pool][queue] = float(part)
            free[pool] -= part
    return shares
