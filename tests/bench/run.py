"""Measure Windlass side by side with Celery, taskiq and a bare loop. `make bench ARGS=...`

Everything runs on one redis-server of its own. The rounds are interleaved (A B C A B C), so that a
slow minute of the machine hits everybody. Slowness never fails it; a task that did not run does.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from harness import report
from harness.bench import Bench
from harness.peer import Peer
from scenarios.registry import SCENARIOS, Scenario

PEERS = {
    "windlass": "peers.windlass_peer",
    "celery": "peers.celery_peer",
    "taskiq": "peers.taskiq_peer",
    "bare": "peers.bare_loop",
}
QUICK_SCALE = 0.1


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=SCENARIOS, help="a scenario; may be given again"
    )
    parser.add_argument("--peer", action="append", choices=PEERS, help="a system; may repeat")
    parser.add_argument("--rounds", type=int, default=3, help="rounds to take the median of")
    parser.add_argument("--quick", action="store_true", help="a tenth of the tasks, one round")
    parser.add_argument("--scale", type=float, help="factor on every number of tasks")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    return parser.parse_args(arguments)


def measure(
    bench: Bench, scenario: Scenario, peers: Sequence[Peer], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Run one scenario in interleaved rounds. A peer that fails is left out, and says so."""
    found: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            limit = scenario.peer_rounds if peer.name != "windlass" else None
            if limit is not None and number >= limit:
                continue
            started = time.monotonic()
            figures = scenario.run(bench, peer)
            found[peer.name].append(figures)
            seen = "  ".join(f"{name}={value:,.3f}" for name, value in figures.items())
            print(f"  {peer.name:9} {seen}  ({time.monotonic() - started:.0f} s)", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for and print the tables."""
    options = parse(arguments)
    # Asked to end, it ends what it has started: workers have sessions of their own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    rounds = 1 if options.quick else options.rounds
    peers = [import_module(PEERS[name]).PEER for name in options.peer or PEERS]
    raw: dict[str, dict[str, list[dict[str, float]]]] = {}
    with Bench(scale=scale) as bench:
        about = report.environment(bench.redis.version, peers)
        for name in options.only or SCENARIOS:
            taking_part = [peer for peer in peers if name in peer.scenarios]
            print(f"{name}: {(SCENARIOS[name].run.__doc__ or '').splitlines()[0]}", flush=True)
            raw[name] = measure(bench, SCENARIOS[name], taking_part, rounds)
    found = report.medians(raw)
    shown = {name: scenario.shown for name, scenario in SCENARIOS.items()}
    print("\n" + report.figures_table(found, shown) + "\n\n" + report.targets_table(found))
    if options.json:
        report.write_json(options.json, raw=raw, about=about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
