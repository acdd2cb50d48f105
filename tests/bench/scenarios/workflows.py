"""How fast workflows go through two worker processes, and how fast big ones are sent.

A chain is a string of round trips, so its figure is latency; a chord of no-ops is throughput with a
join at its end. Each is run some times and the best one counts: they are short, and what disturbs
them only makes them slower.
"""

from __future__ import annotations

from harness.bench import Bench
from harness.peer import Flavour, Peer

_TIMES = 5


def _run(bench: Bench, peer: Peer, kind: str, size: int) -> dict[str, float]:
    bench.fresh()
    flavour = Flavour(results=True)
    with bench.client(peer, flavour) as client, bench.workers(peer, flavour) as workers:
        bench.warm(peer, client, workers)
        times = _TIMES if peer.name == "windlass" else 2  # a chord takes Celery many seconds
        seconds = client.ask("workflow", kind=kind, size=size, times=times)["seconds"]
    return {"seconds": min(seconds), "rate": 1 / min(seconds)}


def chain(bench: Bench, peer: Peer) -> dict[str, float]:
    """A chain of 100 additions, from the call to the result of the last."""
    return _run(bench, peer, "chain", bench.scaled(100))


def chord(bench: Bench, peer: Peer) -> dict[str, float]:
    """A chord of 1,000 no-ops, from the call to the result of its body."""
    return _run(bench, peer, "chord", bench.scaled(1_000))


def _send(bench: Bench, peer: Peer, kind: str, count: int) -> dict[str, float]:
    """Messages a second of a workflow that is built and sent; beside it those of a bulk call."""
    bench.fresh()
    flavour = Flavour(results=True)
    with bench.client(peer, flavour) as client:
        client.ask("send", task="add", count=max(20, count // 20), bulk=True)  # warm
        bulk = client.ask("send", task="add", count=count, bulk=True)["seconds"]
        seconds = client.ask("send_workflow", kind=kind, size=count)["seconds"]
    return {"rate": count / seconds, "of_bulk": bulk / seconds}


def enqueue_group(bench: Bench, peer: Peer) -> dict[str, float]:
    """A group of 100,000."""
    return _send(bench, peer, "group", bench.scaled(100_000))


def enqueue_chord(bench: Bench, peer: Peer) -> dict[str, float]:
    """A chord over 10,000."""
    return _send(bench, peer, "chord", bench.scaled(10_000))
