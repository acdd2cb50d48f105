"""Medians, the two tables, and the JSON file. Never a verdict on the exit code."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .peer import Peer
from .targets import TARGETS, Medians

#: scenario -> peer -> one dict of figures a round
Raw = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]


def medians(raw: Raw) -> dict[str, dict[str, dict[str, float]]]:
    """Return the median of every figure over the rounds."""
    return {
        scenario: {
            peer: {figure: statistics.median(one[figure] for one in rounds) for figure in rounds[0]}
            for peer, rounds in peers.items()
            if rounds
        }
        for scenario, peers in raw.items()
    }


def _number(value: float) -> str:
    if value != value or value in (float("inf"), float("-inf")):
        return "never"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def figures_table(found: Medians, shown: Mapping[str, Sequence[str]]) -> str:
    """Return the medians as a Markdown table, a row for a figure, a column for a peer."""
    peers = list(dict.fromkeys(peer for row in found.values() for peer in row))
    rows = [["scenario", "figure", *peers]]
    for scenario, by_peer in found.items():
        for figure in shown[scenario]:
            cells = [_number(by_peer[peer][figure]) if peer in by_peer else "" for peer in peers]
            rows.append([scenario, figure, *cells])
    return _table(rows)


def targets_table(found: Medians) -> str:
    """Return the targets as a Markdown table, with a plain mark for each."""
    rows = [["what", "measured", "target", "", "met"]]
    for target in TARGETS:
        try:
            value = target.value(found)
        except KeyError:
            continue
        measured = f"{_number(value)} {target.unit}"
        mark = "met" if target.met(value) else "NOT MET"
        rows.append([target.line, measured, target.text, target.kind, mark])
    return _table(rows) if len(rows) > 1 else "No target was measured."


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def environment(redis_version: str, peers: Sequence[Peer]) -> dict[str, Any]:
    """Return what the numbers depend on."""
    packages = ("windlass", "celery", "kombu", "taskiq", "taskiq-redis", "redis", "hiredis")
    return {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "redis_server": redis_version,
        "packages": {package: _version(package) for package in packages},
        "peers": {peer.name: peer.note for peer in peers},
    }


def write_json(path: Path, *, raw: Raw, about: Mapping[str, Any]) -> None:
    """Write everything that was measured."""
    document = {"environment": about, "raw": raw, "medians": medians(raw)}
    path.write_text(json.dumps(document, indent=2) + "\n")
