"""`make chaos-operator`: the operator is killed while it scales down; the auditor reads the log."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

from chaos_operator import OperatorRun  # noqa: E402 - after the path


def main() -> int:
    """Run once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the log and what was printed here")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # everything is ended then too
    with tempfile.TemporaryDirectory(prefix="windlass-chaos-") as folder:
        place = given.keep or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        verdict = OperatorRun(given.seed, given.kills, place).go()
    found = verdict.history
    print(f"{len(found.calls)} calls, {len(found.runs)} runs, {len(found.faults)} kills")
    for finding in verdict.findings[:40]:
        print(f"- {finding.promise}: {finding.text}")
    print(
        "Every promise was kept." if not verdict.findings else f"{len(verdict.findings)} findings"
    )
    return 1 if verdict.findings else 0


if __name__ == "__main__":
    sys.exit(main())
