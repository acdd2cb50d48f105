"""`make chaos-mutants`: every engine with a known fault must be caught."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from time import monotonic

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE)]

from chaos_mutants import MUTANTS, PACKAGE, findings_of  # noqa: E402 - after the path


def main() -> int:
    """Run them one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="those whose name has this text")
    parser.add_argument("--good", action="store_true", help="run the good engine each time too")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    escaped = []
    for mutant in MUTANTS:
        if given.only not in mutant.name:
            continue
        started = monotonic()
        with tempfile.TemporaryDirectory(prefix="windlass-mutant-") as folder:
            found = findings_of(mutant, Path(folder))
        is_caught = bool(mutant.caught_as & set(found))
        if given.good:
            with tempfile.TemporaryDirectory(prefix="windlass-mutant-") as folder:
                good = findings_of(mutant, Path(folder), PACKAGE.parent)
            is_caught = is_caught and not good
            found["of the good engine"] = sum(good.values())
        word = "caught " if is_caught else "ESCAPED"
        print(f"{word}  {monotonic() - started:5.1f} s  {mutant.name}: {found}", flush=True)
        escaped += [] if is_caught else [mutant.name]
    print("all were caught" if not escaped else f"{len(escaped)} escaped: {', '.join(escaped)}")
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
