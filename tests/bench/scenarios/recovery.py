"""A worker is killed -9 (all its processes) with work running and waiting; a second one lives."""

from __future__ import annotations

import time

from harness.bench import Bench
from harness.peer import Flavour, Peer

_TASKS = 200
_GIVE_UP_S = 60.0
_TRICKLE = 199_500  # an index that no task under measurement has


def recovery(bench: Bench, peer: Peer) -> dict[str, float]:
    """Seconds from the kill until all 200 tasks of 50 ms have run; and how many never did."""
    bench.fresh()
    flavour = Flavour(recovery=True)
    count = bench.scaled(_TASKS, at_least=60)
    marks = bench.marks
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        time.sleep(bench.seconds(2))  # so that the second worker is up as well
        client.ask("send", task="work50", count=count, bulk=True)
        bench.require(lambda: marks.marked(count) >= count // 10, workers=workers, timeout_s=30)
        victim, survivor = workers
        victim.kill()
        killed_ns = time.monotonic_ns()
        # A trickle of other work goes on, as in production: taskiq reclaims only when some comes.
        while marks.marked(count) < count and time.monotonic_ns() < killed_ns + _GIVE_UP_S * 1e9:
            if not survivor.running():
                raise RuntimeError(f"The second worker ended. It said:\n{survivor.tail()}")
            client.ask("paced", task="mark", gaps_s=[0.5], first=_TRICKLE)
        done = marks.marked(count)
        last_ns = max(marks.times_ns(count))
        repeats = marks.repeats(count)
    return {
        "seconds": (last_ns - killed_ns) / 1e9 if done == count else float("inf"),
        "not_run": float(count - done),
        "ran_twice": float(repeats),
    }
