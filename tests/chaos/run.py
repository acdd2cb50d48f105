"""`make chaos`: a storm of faults over a random workload, and an auditor of what came of it.

Prints a line for each fault and a report at the end. Exit code 0: every promise was kept and every
kind of fault was seen to happen; 1: not.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

import chaos_faults  # noqa: E402 - after the path
from chaos_fleet import LARGE, POSTS  # noqa: E402 - likewise
from chaos_report import report  # noqa: E402 - likewise
from chaos_run import ChaosRun, Plan  # noqa: E402 - likewise
from chaos_workload import MIX  # noqa: E402 - likewise


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", default=",".join(chaos_faults.ALL), help="kinds, or 'none'")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between two faults")
    parser.add_argument("--lease", type=float, default=3.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--fsync", choices=("always", "everysec", "no"), default="always")
    parser.add_argument("--small", action="store_true", help="three workers instead of four")
    parser.add_argument("--settle", type=float, default=120.0, help="seconds the end may take")
    parser.add_argument("--bursts", type=int, default=20)
    parser.add_argument("--mix", default="", help="weights of kinds, e.g. link=5,nap=5; else all")
    parser.add_argument("--report", type=Path, help="write it here too: report.md and report.json")
    parser.add_argument("--keep", type=Path, help="keep the log and what workers printed here")
    return parser.parse_args()


def plan_of(given: argparse.Namespace) -> Plan:
    mix = {}
    for part in filter(None, given.mix.split(",")):
        kind, _, weight = part.partition("=")
        mix[kind] = float(weight)
    faults = () if given.faults == "none" else tuple(given.faults.split(","))
    return Plan(
        seed=given.seed, tasks=given.tasks, seconds=given.minutes * 60, faults=faults,
        lease_s=given.lease, pause_s=given.pause, rounds=given.rounds, fsync=given.fsync,
        posts=POSTS if given.small else LARGE, settle_s=given.settle, bursts=given.bursts,
        mix=mix or dict(MIX),
    )  # fmt: skip


def main() -> int:
    """Run once."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is ended then too
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-") as folder:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        run = ChaosRun(plan_of(given), place, lambda text: print(text, flush=True))
        verdict = run.go()
        text, data = report(run.plan, verdict, run.fleet.logs())
        if given.report:
            given.report.mkdir(parents=True, exist_ok=True)
            (given.report / "report.md").write_text(text)
            (given.report / "report.json").write_bytes(data)
    print(text)
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
