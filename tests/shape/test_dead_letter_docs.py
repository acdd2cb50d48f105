"""The page on dead letters names every reason and every end of an attempt, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from windlass.attempts import Attempt, Ending
from windlass.control_plane.dead_letters import DeadLetter, Reason

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "dead-letters.md").read_text("utf-8")


def named(heading: str) -> set[str]:
    """Names in the first column of the table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", section, re.M)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} - {"end"}


def test_every_reason_is_on_the_page() -> None:
    assert {reason.value for reason in Reason} == named("Reasons")


def test_every_end_of_an_attempt_is_on_the_page() -> None:
    assert {end.value for end in Ending} == named("Attempts")


def test_every_field_is_on_the_page() -> None:
    fields = {*Attempt.__struct_fields__, *DeadLetter.__struct_fields__} - {"raw"}

    assert [name for name in sorted(fields) if f"`{name}`" not in PAGE] == []
