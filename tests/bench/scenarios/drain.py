"""How fast two worker processes empty a full queue, and what CPU that takes.

Measured from 5% of the tasks to the last one, so that starting up is not part of it.
"""

from __future__ import annotations

from harness.bench import Bench
from harness.peer import Flavour, Peer

_WARM_SHARE = 0.05


def drain(bench: Bench, peer: Peer, *, task: str, count: int, flavour: Flavour) -> dict[str, float]:
    """Send so many calls of a task, and see how fast they are done."""
    bench.fresh()
    marks = bench.marks
    with bench.client(peer, flavour) as client:
        ids = client.ask("send", task=task, count=count, bulk=True)["ids"]
        with bench.workers(peer, flavour) as workers:
            bench.require(lambda: marks.counted() >= count * _WARM_SHARE, workers=workers)
            begun = marks.counted()
            before = bench.sample(workers)
            bench.require(lambda: marks.counted() >= count, workers=workers)
            after = bench.sample(workers)
            seconds = (marks.last_ns() - before.at_ns) / 1e9
            measured = count - begun
            figures = {
                "rate": measured / seconds,
                "worker_cpu_us": after.workers_since(before) / measured * 1e6,
                "redis_cpu_us": (after.redis_s - before.redis_s) / measured * 1e6,
                "ran": float(marks.counted()),
                "sent": float(count),
            }
            if flavour.results:
                stored = [0]

                def all_stored() -> bool:
                    stored[0] = client.ask("succeeded", ids=ids)["succeeded"]
                    return stored[0] == len(ids)

                bench.wait(all_stored, workers=workers, timeout_s=10)
                figures["results_missing"] = float(len(ids) - stored[0])
    return figures


def ignored(bench: Bench, peer: Peer) -> dict[str, float]:
    """No-op tasks whose results nobody wants."""
    count = bench.scaled(peer.drain_count)
    return drain(bench, peer, task="noop", count=count, flavour=Flavour())


def results(bench: Bench, peer: Peer) -> dict[str, float]:
    """Additions whose results are stored."""
    count = bench.scaled(peer.drain_count)
    return drain(bench, peer, task="add", count=count, flavour=Flavour(results=True))


def sleeps(bench: Bench, peer: Peer) -> dict[str, float]:
    """10 ms sleeps, 100 at a time in each of two processes (where a system can do that)."""
    counts = {"windlass": 40_000, "taskiq": 8_000}
    count = bench.scaled(counts.get(peer.name, 600))
    return drain(bench, peer, task="sleep10", count=count, flavour=Flavour(sleeps=True))
