"""Tables, ages and durations as people read and write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from windlass.control_plane.spans import age, moment

__all__ = ["Duration", "NameList", "age", "moment", "table"]

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out columns: numbers to the right, text to the left."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(heading), *(len(row[column]) for row in cells)) if cells else len(heading)
        for column, heading in enumerate(headings)
    ]
    right = [
        bool(rows) and all(isinstance(row[column], int | float) for row in rows)
        for column in range(len(headings))
    ]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [list(headings), *cells]
    )


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 90, 45s, 30m, 12h, 7d, 2w. Gives seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse one value from the command line."""
        if isinstance(value, int | float):
            return float(value)
        match = _DURATION.fullmatch(str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is no duration. Expected e.g. 90, 45s, 30m, 12h, 7d.", param, ctx)
        return float(match[1]) * _UNITS_S[match[2] or "s"]


class NameList(click.ParamType[tuple[str, ...]]):
    """Names separated by commas, each once: `a,b`."""

    name = "names"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        """Parse one value from the command line."""
        if isinstance(value, tuple):
            return value
        names = tuple(dict.fromkeys(part.strip() for part in str(value).split(",") if part.strip()))
        if not names:
            self.fail(f"{value!r} names nothing. Expected e.g. default,bulk.", param, ctx)
        return names


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
