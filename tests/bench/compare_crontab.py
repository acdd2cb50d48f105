"""Holds `windlass.schedules.crontab` against Celery's: random fields, moments and zones.

    .venv-bench/bin/python tests/bench/compare_crontab.py [--pairs 100000] [--seed 1]

Compared are the expanded fields, and the time that each says is due next. Moments within two days
of a jump of the clock are compared too, and counted apart: there the two have rules of their own
(ours is in docs/reference/schedules.md). Exit status 1 if they differ anywhere else.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import celery
from celery.schedules import crontab as Theirs  # noqa: N812 - two classes of one name

from windlass import Windlass
from windlass.schedules import crontab as Ours  # noqa: N812 - as above

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
FIELDS = {
    "minute": (0, 59, ()),
    "hour": (0, 23, ()),
    "day_of_week": (0, 6, ("sun", "Monday", "tue", "wed", "thursday", "FRI", "sat")),
    "day_of_month": (1, 31, ()),
    "month_of_year": (
        1, 12,
        ("jan", "feb", "march", "apr", "may", "jun", "JULY", "aug", "sept", "oct", "nov", "dec"),
    ),
}  # fmt: skip


def expression(rng: random.Random, low: int, high: int, names: tuple[str, ...]) -> str:
    """One expression of a field."""

    def number() -> str:
        at = rng.randint(low, high)
        return names[at - low] if names and rng.random() < 0.3 else str(at)

    kind = rng.randrange(5)
    if kind == 0:
        return "*"
    if kind == 1:
        return f"*/{rng.randint(1, high + 5)}"
    if kind == 2:
        return number()
    steps = f"/{rng.randint(1, 10)}" if kind == 4 else ""
    return f"{number()}-{number()}{steps}"


def field(rng: random.Random, name: str) -> Any:
    """A field as a person may write it."""
    low, high, names = FIELDS[name]
    kind = rng.random()
    if kind < 0.35:
        return "*"
    if kind < 0.45:
        return rng.randint(low, high)
    if kind < 0.55:
        return rng.sample(range(low, high + 1), rng.randint(1, 5))
    return ",".join(expression(rng, low, high, names) for _ in range(rng.randint(1, 3)))


def is_near_a_jump(moments: list[datetime], zone: ZoneInfo) -> bool:
    """Whether the zone's offset changes within two days of any of the moments."""
    day = timedelta(days=1)
    return any(
        len({(m + n * day).astimezone(zone).utcoffset() for n in range(-2, 3)}) > 1 for m in moments
    )


def compare(rng: random.Random, apps: dict[str, tuple[Any, Any]], seen: Counter[str]) -> str | None:
    """Compare one pair; return what differs."""
    name = rng.choice(ZONES)
    ours_app, theirs_app = apps[name]
    fields = {key: field(rng, key) for key in FIELDS}
    try:
        theirs = Theirs(**fields, app=theirs_app)
    except ValueError:
        try:
            Ours(**fields, app=ours_app)
        except ValueError:
            seen["refused by both"] += 1
            return None
        return f"only Celery refuses {fields}"
    ours = Ours(**fields, app=ours_app)
    if any(getattr(ours, key) != getattr(theirs, key) for key in FIELDS):
        return f"fields of {fields}"
    last = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(4 * 365 * 86_400))
    last = last.astimezone(ZoneInfo(name))
    theirs.nowfun = ours.nowfun = lambda: last
    try:
        their_wait = theirs.remaining_estimate(last)
    except RuntimeError:  # Celery gives up on rare days
        seen["given up by Celery"] += 1
        return None
    our_wait = ours.remaining_estimate(last)
    near = is_near_a_jump([last, last + their_wait, last + our_wait], ZoneInfo(name))
    kind = "near a jump" if near else "elsewhere"
    seen[f"{'same' if our_wait == their_wait else 'different'}, {kind}"] += 1
    if our_wait == their_wait or near:
        return None
    return f"{fields} after {last.isoformat()} {name}: ours {our_wait}, Celery's {their_wait}"


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    apps = {}
    for name in ZONES:
        theirs = celery.Celery(name, set_as_current=False)
        theirs.conf.timezone = name
        apps[name] = (Windlass(name, timezone=name, set_as_current=False), theirs)
    rng, seen, differences = random.Random(options.seed), Counter[str](), []
    for _ in range(options.pairs):
        difference = compare(rng, apps, seen)
        if difference is not None:
            differences.append(difference)
    print(f"celery {celery.__version__}, {options.pairs} pairs, seed {options.seed}")
    for kind, count in sorted(seen.items()):
        print(f"{count:>9,}  {kind}")
    for difference in differences[:20]:
        print(f"  differs: {difference}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
