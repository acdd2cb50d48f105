"""The page on keys names what the code uses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from windlass.redis_store import keys
from windlass.redis_store.keys import QUEUE_PARTS, Keys

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "redis-keys.md"


def documented() -> dict[str, str]:
    """Key as the page's tables name it -> Redis type."""
    rows = re.findall(r"^\| (`[^|]+) \| ([a-z, ]+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    found: dict[str, str] = {}
    for names, types in rows:
        single = re.findall(r"`([^`]+)`", names)
        kinds = types.split(", ")
        found |= dict(zip(single, kinds * (len(single) if len(kinds) == 1 else 1), strict=True))
    return found


@pytest.mark.parametrize("part", [part for part in QUEUE_PARTS if part != "r9..r0"])
def test_every_part_of_a_queue_is_on_the_page_with_its_type(part: str) -> None:
    assert documented()[part] == QUEUE_PARTS[part].split()[0]


def test_every_key_of_a_keyspace_is_on_the_page_with_its_type() -> None:
    table = re.findall(r"^windlass:\{ks\}:(\S+) +(\w+) ", keys.__doc__ or "", re.M)
    named = {name: kind for name, kind in table if not name.startswith("q:")}
    made = {
        value.decode().removeprefix("windlass:{k}:")
        for value in vars(Keys("k")).values()
        if isinstance(value, bytes)
    }

    assert set(named) <= set(documented())
    assert {name: documented()[name] for name in named} == named
    assert {name for name in named if "<" not in name} == made - {
        "beat",
        "control",
        "done:",
        "kept:",
        "r:",
        "schedule:",
        "then:",
        "answers:",
    }
