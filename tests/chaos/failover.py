"""`make chaos-failover`: what failovers under Sentinel lose and double, by publish_confirm.

Exit code 1 if a call was lost that had returned under publish_confirm=replicated.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

from chaos_failover import LAG_S, Case, Measure, measure  # noqa: E402 - after the path

#: Writes are refused unless a replica was heard of within so many seconds.
_REPLICAS = (("min-replicas-to-write", "1"), ("min-replicas-max-lag", "2"))
CASES = {
    "killed": Case(confirm="accepted"),
    f"killed, replica {LAG_S:g} s behind": Case(confirm="accepted", lags=True),
    "killed, and back empty before all Sentinels know": Case(confirm="accepted", at_once=True),
    "hangs and comes back": Case(confirm="accepted", hangs=True),
    f"killed, replica {LAG_S:g} s behind, min-replicas-to-write 1": Case(
        confirm="accepted", lags=True, config=_REPLICAS
    ),
    "replicated: killed": Case(confirm="replicated"),
    f"replicated: killed, replica {LAG_S:g} s behind": Case(confirm="replicated", lags=True),
    "replicated: killed, and back empty before all Sentinels know": Case(
        confirm="replicated", at_once=True
    ),
    "replicated: hangs and comes back": Case(confirm="replicated", hangs=True),
    f"replicated: killed, replica {LAG_S:g} s behind, min-replicas-to-write 1": Case(
        confirm="replicated", lags=True, config=_REPLICAS
    ),
}


def main() -> int:
    """Measure each case some times; print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers are ended then too
    print("| the primary | sends | lost | raised | of these there | ends | undone | away, s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    lost = 0
    for name, case in CASES.items():
        total = Measure()
        for _ in range(rounds):
            total.add(measure(case))
        print(
            f"| {name} | {total.acknowledged:,} | {total.sends_lost} | {total.raised:,} | "
            f"{total.raised_and_there} | {total.settled:,} | {total.ends_undone} | "
            f"{statistics.median(total.away_s):.1f} |",
            flush=True,
        )
        lost += total.sends_lost if case.confirm == "replicated" else 0
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
