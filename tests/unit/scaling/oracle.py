"""A second, naive implementation of the demand formulas, to compare the real one with."""

from __future__ import annotations

import math

RHO = 0.8


def need_slots(q: dict) -> float:
    if q.get("paused"):
        return 0.0
    lam, s, b, d, f = q.get("lam", 0.0), q.get("S"), q.get("B", 0), q.get("D", 0), q.get("F", 0)
    rate, cap = q.get("r", math.inf), q.get("K", math.inf)
    if s is None:
        # No more than may be begun within the target, and never above the cap.
        return min((min(b + d, rate * q.get("Td", 60)) + f) / q.get("per_slot", 1), cap)
    steady = min(lam, rate) * s / RHO
    drain = (b + d) * s / q.get("Td", 60)
    if rate < math.inf:
        drain = min(drain, max(0.0, rate * s - min(lam, rate) * s))
    return min(steady + drain, max(b + d + f, math.ceil(round(steady, 9))), cap)


def work(q: dict) -> int:
    return 0 if q.get("paused") else q.get("B", 0) + q.get("D", 0) + q.get("F", 0)


def replicas(queues: list[dict], slots: int = 1, low: int = 0, high: int = 100) -> int:
    wanted = math.ceil(round(sum(map(need_slots, queues)) / slots, 9))
    if sum(map(work, queues)) > 0:
        wanted = max(wanted, 1)
    return max(low, min(high, wanted))


#: (sentence, queues, options, replicas)
GOLDEN = [
    ("empty", [{"S": 2}], {}, 0),
    ("one task, from zero", [{"B": 1, "S": 2}], {}, 1),
    ("one long task gets one slot, not its length over the target", [{"B": 1, "S": 600}], {}, 1),
    ("two waiting, one running, ten minutes each", [{"B": 2, "F": 1, "S": 600}], {}, 3),
    ("600 of a second", [{"B": 600, "S": 1}], {}, 10),
    ("600 of a second, 8 slots", [{"B": 600, "S": 1}], {"slots": 8}, 2),
    ("steady 10/s of half a second", [{"lam": 10, "S": 0.5, "F": 5}], {}, 7),
    ("the same with a backlog of 120", [{"lam": 10, "S": 0.5, "B": 120, "F": 5}], {}, 8),
    (
        "steady 20/s, 8 slots, every pod a little busy",
        [{"lam": 20, "S": 1, "F": 20}],
        {"slots": 8},
        4,
    ),
    ("rate limit 2/s, backlog 10,000", [{"lam": 5, "S": 1, "B": 10000, "r": 2}], {}, 3),
    ("concurrency cap 4", [{"B": 1000, "S": 1, "K": 4}], {}, 4),
    ("two queues: sum, not max", [{"B": 300, "S": 1}, {"B": 300, "S": 1}], {}, 10),
    ("the second in no hurry", [{"B": 300, "S": 1}, {"B": 300, "S": 1, "Td": 600}], {}, 6),
    ("a paused queue", [{"B": 1000, "S": 1, "paused": True}], {}, 0),
    ("three running, nothing waiting", [{"F": 3, "S": 30}], {}, 1),
    ("a billion waiting, at most 50", [{"B": 10**9, "S": 1}], {"high": 50}, 50),
    ("nothing measured, 5 tasks a slot", [{"B": 7, "per_slot": 5}], {}, 2),
    ("at least 2, empty", [{"S": 1}], {"low": 2}, 2),
]
