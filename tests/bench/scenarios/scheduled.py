"""Tasks with a countdown: what they cost while they wait, and how late they start."""

from __future__ import annotations

import random
import time

from harness.bench import Bench, percentile
from harness.peer import Flavour, Peer
from harness.processes import pss_mb

_WAITING = 100_000
_LATER_S = 7_200.0


def memory(bench: Bench, peer: Peer) -> dict[str, float]:
    """Bytes of 100,000 waiting tasks in Redis, and what they add to an idle worker."""
    bench.fresh()
    flavour = Flavour()
    count, watch_s = bench.scaled(_WAITING), bench.seconds(2)
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        time.sleep(bench.seconds(1))
        worker_before = pss_mb([pid for worker in workers for pid in worker.tree()])
        redis_before = bench.redis.used_memory()
        client.ask("schedule", task="noop", count=count, delay_s=_LATER_S)
        redis_after = bench.redis.used_memory()
        time.sleep(bench.seconds(1))
        before = bench.sample(workers)
        time.sleep(watch_s)
        after = bench.sample(workers)
        worker_after = pss_mb([pid for worker in workers for pid in worker.tree()])
    return {
        "redis_bytes_each": (redis_after - redis_before) / count,
        "worker_growth_mb": worker_after - worker_before,
        "worker_cpu_percent": after.workers_since(before) / watch_s * 100,
    }


def lateness(bench: Bench, peer: Peer) -> dict[str, float]:
    """Milliseconds from when a task is due (by its caller's call) to its start."""
    bench.fresh()
    flavour = Flavour()
    count = bench.scaled(500)
    spread = random.Random(3)
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        delays_s = [bench.seconds(spread.uniform(3, 8)) for _ in range(count)]
        due_ns = client.ask("later", task="mark", delays_s=delays_s)["due_ns"]
        bench.require(lambda: bench.marks.marked(count) == count, workers=workers, timeout_s=30)
        started_ns = bench.marks.times_ns(count)
    late_ms = [(start - due) / 1e6 for start, due in zip(started_ns, due_ns, strict=True)]
    return {
        "p50_ms": percentile(late_ms, 0.5),
        "p99_ms": percentile(late_ms, 0.99),
        "max_ms": max(late_ms),
        "early": float(sum(late < 0 for late in late_ms)),
        "earliest_ms": min(late_ms),
    }
