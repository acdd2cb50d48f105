"""What a worker with two processes costs while there is nothing to do, and how fast it wakes."""

from __future__ import annotations

import random
import time

from harness.bench import Bench, percentile
from harness.peer import Flavour, Peer
from harness.processes import pss_mb

_SETTLE_S = 2.0
_WATCH_S = 10.0
_SAMPLES = 200


def idle(bench: Bench, peer: Peer) -> dict[str, float]:
    """Memory, CPU and Redis commands of an idle worker that has run a few tasks."""
    bench.fresh()
    flavour = Flavour()
    watch_s = bench.seconds(_WATCH_S)
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        time.sleep(bench.seconds(_SETTLE_S))
        calls_before = sum(bench.redis.commands().values())
        before = bench.sample(workers)
        time.sleep(watch_s)
        after = bench.sample(workers)
        calls = sum(bench.redis.commands().values()) - calls_before
        pids = [pid for worker in workers for pid in worker.tree()]
        return {
            "pss_mb": pss_mb(pids),
            "processes": float(len(pids)),
            "commands_per_s_per_process": calls / watch_s / flavour.processes,
            "cpu_percent": after.workers_since(before) / watch_s * 100,
        }


def start_latency(bench: Bench, peer: Peer) -> dict[str, float]:
    """Milliseconds from the call to the start of the task, on an idle worker."""
    bench.fresh()
    flavour = Flavour()
    count = bench.scaled(_SAMPLES)
    gaps = random.Random(3)  # the same gaps for everybody
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        time.sleep(0.5)
        gaps_s = [gaps.uniform(0.02, 0.06) for _ in range(count)]
        sent_ns = client.ask("paced", task="mark", gaps_s=gaps_s, first=0)["sent_ns"]
        bench.require(lambda: bench.marks.marked(count) == count, workers=workers, timeout_s=15)
        started_ns = bench.marks.times_ns(count)
    waits_ms = [(start - sent) / 1e6 for start, sent in zip(started_ns, sent_ns, strict=True)]
    return {
        "p50_ms": percentile(waits_ms, 0.5),
        "p99_ms": percentile(waits_ms, 0.99),
        "max_ms": max(waits_ms),
    }


def first_task(bench: Bench, peer: Peer) -> dict[str, float]:
    """Seconds from starting the worker process to the start of a task that waits."""
    bench.fresh()
    flavour = Flavour()
    with bench.client(peer, flavour) as client:
        client.ask("paced", task="mark", gaps_s=[0.0], first=0)
        with bench.workers(peer, flavour) as workers:
            bench.require(lambda: bench.marks.marked(1) == 1, workers=workers, timeout_s=30)
            started_ns = bench.marks.times_ns(1)[0]
            return {"seconds": (started_ns - workers[0].started_ns) / 1e9}
