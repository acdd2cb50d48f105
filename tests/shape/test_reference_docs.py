"""Tables in docs/reference say what the code says."""

from __future__ import annotations

import re

from prometheus_client.metrics import MetricWrapperBase

from repository import ROOT, files
from windlass import events
from windlass.metrics import METRICS
from windlass_operator.metrics import Metrics

REFERENCE = ROOT / "docs" / "reference"


def rows(name: str) -> list[list[str]]:
    """Return the cells of the table rows whose first cell is code."""
    lines = (REFERENCE / name).read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if line.startswith("| `")
    ]


def declared_events() -> dict[str, str]:
    return {name: value for name, value in vars(events).items() if name.isupper()}


def test_events_page_lists_every_event_once() -> None:
    listed = [row[0].strip("`") for row in rows("events.md")]

    assert sorted(listed) == sorted(declared_events().values())


def test_events_page_gives_a_level_and_a_meaning_to_each() -> None:
    for name, level, meaning in rows("events.md"):
        assert level in {"debug", "info", "warning", "error"}, name
        assert meaning.endswith("."), name


def test_every_event_is_logged_somewhere() -> None:
    code = "\n".join(
        path.read_text() for path in files(".py", below="worker") if path.name != "events.py"
    )
    unused = [name for name in declared_events() if not re.search(rf"\bevents\.{name}\b", code)]

    assert unused == []


def test_events_are_constants_named_as_they_read() -> None:
    for name, value in declared_events().items():
        assert value == name.lower()


def operator_metrics() -> list[list[str]]:
    """What the operator's registry gives, by name."""
    metrics = Metrics()
    labels = {
        one.describe()[0].name: one._labelnames
        for one in vars(metrics).values()
        if isinstance(one, MetricWrapperBase)
    }
    made = []
    for family in metrics.registry.collect():
        of_family = labels.get(family.name) or getattr(family, "_labelnames", ())
        name = f"{family.name}_total" if family.type == "counter" else family.name
        shown = ", ".join(f"`{label}`" for label in of_family) or "-"
        made.append([f"`{name}`", family.type, shown, family.documentation])
    return made


def test_metrics_page_is_the_table_of_the_code() -> None:
    expected = [
        [
            f"`{metric.name}`",
            metric.type,
            ", ".join(f"`{label}`" for label in metric.labels) or "-",
            metric.help,
        ]
        for metric in METRICS
    ]

    assert rows("metrics.md") == expected + operator_metrics()


def test_log_calls_name_their_event_by_constant() -> None:
    literal = re.compile(r"""\b_?log\.(?:debug|info|warning|error|exception)\(\s*f?["']""")
    found = [path.name for path in files(".py", below="worker") if literal.search(path.read_text())]

    assert found == []
