"""Builders: every field filled; a test names only what it is about."""

from __future__ import annotations

from typing import Any

from windlass_operator.scaling.decide import PoolInputs
from windlass_operator.scaling.demand import QueueDemand, need_slots
from windlass_operator.scaling.divide import PoolCapacity, divide
from windlass_operator.scaling.stabilize import Behavior, Memory

LONG_AGO = -1_000_000.0


def make_demand(name: str = "q", **values: Any) -> QueueDemand:
    """From the oracle's letters: B, D, F, lam, S, Td, K, r, per_slot, paused."""
    letters = {
        "B": "backlog", "D": "due_soon", "F": "running", "lam": "arrival_rate", "S": "service_s",
        "Td": "drain_target_s", "K": "concurrency_cap", "r": "rate_limit",
        "per_slot": "tasks_per_slot", "paused": "paused",
    }  # fmt: skip
    return QueueDemand(name=name, **{letters[key]: value for key, value in values.items()})


def make_memory(**values: Any) -> Memory:
    return Memory(**{"since_s": LONG_AGO, "last_active_s": LONG_AGO, **values})


def make_inputs(
    *queues: QueueDemand, current: int = 0, slots: int = 1, **values: Any
) -> PoolInputs:
    behavior = values.pop("behavior", None) or Behavior(maximum=100)
    needs = {queue.name: need_slots(queue) for queue in queues}
    pool = PoolCapacity(pool="p", queues=tuple(needs), slots=slots * behavior.maximum)
    return PoolInputs(
        current=current,
        slots=slots,
        queues=queues,
        shares=values.pop("shares", None) or divide(needs, [pool])["p"],
        behavior=behavior,
        memory=values.pop("memory", None) or make_memory(),
        **values,
    )
