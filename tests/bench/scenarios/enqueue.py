"""How fast a client sends: call by call, and in bulk. No worker runs."""

from __future__ import annotations

from harness.bench import Bench
from harness.peer import Flavour, Peer


def _send(bench: Bench, peer: Peer, *, count: int, bulk: bool) -> dict[str, float]:
    bench.fresh()
    flavour = Flavour()
    with bench.client(peer, flavour) as client:
        client.ask("send", task="noop", count=max(20, count // 20), bulk=bulk)  # warm
        answer = client.ask("send", task="noop", count=count, bulk=bulk)
    return {"rate": count / answer["seconds"], "us": answer["seconds"] / count * 1e6}


def one(bench: Bench, peer: Peer) -> dict[str, float]:
    """Calls a second, each waited for before the next."""
    return _send(bench, peer, count=bench.scaled(peer.send_count), bulk=False)


def bulk(bench: Bench, peer: Peer) -> dict[str, float]:
    """Calls a second by the fastest documented bulk way."""
    return _send(bench, peer, count=bench.scaled(peer.bulk_count), bulk=True)
