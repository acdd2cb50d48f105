"""docs/reference/tasks.md lists every option there is, with its default, and none that is not."""

from __future__ import annotations

import re

import pytest

from repository import ROOT
from windlass import signals
from windlass.call_options import CallOptions
from windlass.context import Context
from windlass.task_options import TaskOptions

PAGE = (ROOT / "docs" / "reference" / "tasks.md").read_text()


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def table(title: str) -> dict[str, str]:
    """Return the first cells of a table, and the second ones."""
    rows = [line.strip("|").split("|") for line in section(title).splitlines() if "| `" in line]
    return {row[0].strip().strip("`"): row[1].strip() for row in rows}


def test_every_option_of_a_task_is_listed_with_its_default() -> None:
    listed = table("Options of a task")

    assert listed.keys() == TaskOptions.__annotations__.keys()
    for name, default in listed.items():
        if name != "name":
            value = getattr(TaskOptions, name)
            shown = int(value) if type(value) is float else value
            assert default == f"`{shown}`", name


def test_every_option_of_a_call_is_listed() -> None:
    assert table("Options of a call").keys() == CallOptions.__annotations__.keys()


def test_every_signal_is_listed() -> None:
    sent = {name for name, value in vars(signals).items() if isinstance(value, signals.Signal)}

    assert table("Signals").keys() == sent
    assert all(f"\n    {name} " in (signals.__doc__ or "") for name in sent)


@pytest.mark.parametrize("documented", [TaskOptions, CallOptions])
def test_docstring_describes_every_option(documented: type) -> None:
    described = set(re.findall(r"^ {8}(\w+): ", documented.__doc__ or "", re.M))

    assert described >= documented.__annotations__.keys()


def test_every_named_field_of_a_request_is_there() -> None:
    names = re.findall(r"`(\w+)`", section("`self.request`"))

    assert len(names) > 40
    assert [name for name in names if not hasattr(Context(), name)] == []
