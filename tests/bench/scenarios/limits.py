"""What limits cost: a full queue under limits that do not bind, beside the same one without any.

Each round drains them one after the other, so that a slow minute of the machine hits all of them.
"""

from __future__ import annotations

from harness.bench import Bench
from harness.peer import Flavour, Peer

from .drain import drain

#: Tasks of `peers.windlass_limits_app`.
TASKS = ("beside", "rated", "narrow", "keyed", "turns")
#: Of the tasks of a plain drain: there are six of them.
_SHARE = 0.4


def drain_limited(bench: Bench, peer: Peer) -> dict[str, float]:
    """No-op tasks with a rate, a concurrency, 1,000 keys, turns: each as part of the plain rate."""
    count = bench.scaled(int(peer.drain_count * _SHARE))
    plain = drain(bench, peer, task="noop", count=count, flavour=Flavour())
    figures = {"plain": plain["rate"], "plain_redis_us": plain["redis_cpu_us"]}
    for task in TASKS:
        found = drain(bench, peer, task=task, count=count, flavour=Flavour(limits=True))
        figures[task] = found["rate"] / plain["rate"]
        figures[f"{task}_redis_us"] = found["redis_cpu_us"]
        figures[f"{task}_lost"] = found["sent"] - found["ran"]
    return figures
