"""The page, the command line and `app.control` have exactly the commands that workers know."""

from __future__ import annotations

import inspect
import re

from repository import ROOT
from windlass.cli.remote import CONTROL, INSPECT
from windlass.control import Control
from windlass.remote_calls import Inspect
from windlass.runtime.remote import commands

PAGE = (ROOT / "docs" / "reference" / "control.md").read_text()
VIEWS, ORDERS = commands()
#: The same command under Celery's second name.
ALIAS = {"registered_tasks"}


def listed(section: str) -> set[str]:
    text = PAGE.split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)", row)}


def test_page_lists_every_command() -> None:
    assert listed("Inspect") == VIEWS.keys() - ALIAS
    assert listed("Control") == ORDERS.keys()


def test_command_line_has_every_command_with_its_arguments() -> None:
    assert INSPECT.keys() == VIEWS.keys() - ALIAS
    assert CONTROL.keys() == ORDERS.keys()
    for name, method in {**INSPECT, **CONTROL}.items():
        known = list(inspect.signature((VIEWS | ORDERS)[name]).parameters)[1:]
        assert {each.removesuffix("...") for each in method.takes} <= set(known), name


def test_python_has_a_method_for_every_command() -> None:
    assert set(dir(Inspect)) >= VIEWS.keys()
    assert set(dir(Control)) >= ORDERS.keys()
