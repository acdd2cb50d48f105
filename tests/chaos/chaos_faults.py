"""What is done to the system, and when: a plan from a seed. Pure; `chaos_deeds` carries it out.

kill_worker  SIGKILL of the supervisor and all its processes: a node lost, a pod out of memory
kill_head    SIGKILL of the supervisor alone; slots run on for a moment
kill_slot    SIGKILL of one process of tasks
freeze       SIGSTOP of all its processes for longer than a lease: a paused VM, swapping
freeze_head  SIGSTOP of the supervisor alone, likewise: its slots run on
drain        SIGTERM, and another worker in its place: a rolling deploy, an eviction
redis_kill   SIGKILL of redis-server, and its start
redis_pause  SIGSTOP of redis-server for a moment: a slow disk, a fork
cut          every connection of workers and senders is reset
lost_reply   Redis does it, and its answer is lost with the connection
slow         bytes come late and in small pieces
partition    bytes do not come at all, for longer than a lease
clock        the wall clock of workers jumps by hours: NTP, a restored VM
cordon       an operator cordons a worker, and is never heard of again
"""

from __future__ import annotations

import random
from dataclasses import dataclass

ALL = (
    "kill_worker", "kill_head", "kill_slot", "freeze", "freeze_head", "drain", "redis_kill",
    "redis_pause", "cut", "lost_reply", "slow", "partition", "clock", "cordon",
)  # fmt: skip
#: These are over soon, so there are more of them in a storm.
_QUICK = (
    "kill_worker",
    "kill_head",
    "kill_slot",
    "drain",
    "redis_kill",
    "cut",
    "lost_reply",
    "clock",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """One fault of a plan.

    Attributes:
        what: Its kind.
        worker: Which worker it is done to, by place in the fleet.
        seconds: How long it lasts; 0 for what is over at once.
        pause_s: How long the system is left alone after it.
        amount: Of a clock's jump, seconds; of a slow link's delay, seconds.
    """

    what: str
    worker: int
    seconds: float
    pause_s: float
    amount: float = 0.0


def storm(
    seed: int, kinds: tuple[str, ...], workers: int, lease_s: float, pause_s: float
) -> list[Deed]:
    """Draw one round: every kind once, quick ones twice, in a random order.

    Args:
        seed: Of this round.
        kinds: Of `ALL`.
        workers: How many there are.
        lease_s: What is to last longer than a lease does so by a half.
        pause_s: Between two faults, on average.
    """
    chance = random.Random(seed)
    round_ = [*kinds, *(kind for kind in kinds if kind in _QUICK)]
    chance.shuffle(round_)
    return [_deed(chance, kind, workers, lease_s, pause_s) for kind in round_]


def _deed(chance: random.Random, kind: str, workers: int, lease_s: float, pause_s: float) -> Deed:
    seconds = {
        "freeze": lease_s * 1.5,
        "freeze_head": lease_s * 1.5,
        "partition": lease_s * 1.2,
        "redis_pause": 0.7,
        "slow": 1.5,
        "lost_reply": 1.0,
        "cordon": lease_s,
    }.get(kind, 0.0)
    hours = chance.choice((-26, -1, 1, 26))
    return Deed(
        what=kind,
        worker=chance.randrange(workers),
        seconds=seconds * chance.uniform(0.9, 1.2) if seconds else 0.0,
        pause_s=chance.uniform(0.5, 1.5) * pause_s,
        amount=hours * 3600.0 if kind == "clock" else 0.03,
    )
