"""Runs of a schedule that have not ended, as text: "nominal:id,nominal:id". Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Run(NamedTuple):
    """One message that a schedule has sent.

    Attributes:
        nominal_ms: The time it was due; of one by hand, when that was.
        id: Of the message.
    """

    nominal_ms: int
    id: str


def read_runs(raw: bytes | None) -> list[Run]:
    """Read the text, the oldest first."""
    if not raw:
        return []
    parts = (part.partition(":") for part in raw.decode().split(","))
    return [Run(int(nominal), id_) for nominal, _, id_ in parts]


def write_runs(runs: Iterable[Run]) -> bytes:
    """Write the text."""
    return ",".join(f"{run.nominal_ms}:{run.id}" for run in runs).encode()
