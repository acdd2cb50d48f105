"""The page on `windlass why` tells of every reason that it may give."""

from __future__ import annotations

import re

from repository import ROOT
from windlass.control_plane.why_reasons import Cause

PAGE = (ROOT / "docs" / "how-to" / "find-out-why-a-task-is-not-running.md").read_text()


def test_page_lists_every_cause_once_and_no_other() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]

    assert sorted(name for name in listed if name != "cause") == sorted(Cause)
