"""Reads rate limits as Celery writes them. Pure.

The broker enforces them for all workers together (`lua/lib/limits.lua`), or each worker for itself
(`windlass.runtime.rates`, scope worker).
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from windlass.errors import ConfigurationError

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LIMIT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([smh])\s*)?\Z")


def parse_rate(limit: str | float | None) -> float | None:
    """Return the limit in tasks a second, None if there is none.

    Args:
        limit: "10/s", "100/m", "5/h", a number or "10" (a second), or None, 0 or "" for no limit.

    Raises:
        ConfigurationError: It is none of these.

    >>> parse_rate("90/m")
    1.5
    """
    if limit is None or limit == "":
        return None
    match = None if isinstance(limit, bool) else _LIMIT.match(str(limit))
    if match is None:
        text = (
            f"rate_limit {limit!r} cannot be read. Expected a count and a unit: '10/s', '100/m', "
            "'5/h', or None for no limit."
        )
        raise ConfigurationError(text)
    per_second = float(match[1]) / _SECONDS[match[2] or "s"]
    return per_second or None


def rate_text(limit: str | float | None) -> str | None:
    """Return the limit as the broker's scripts read it: "10/s"; None if there is none.

    Raises:
        ConfigurationError: It cannot be read.

    >>> rate_text(" 90 / m")
    '90/m'
    """
    if parse_rate(limit) is None:
        return None
    count, _, unit = str(limit).partition("/")
    return f"{count.strip()}/{unit.strip() or 's'}"


class Pace(NamedTuple):
    """A rate as the broker counts it: the twin of `lua/lib/rates.lua`.

    What has not been used for a while may come at once up to a tenth of a second's worth.

    Attributes:
        spacing_ms: Between two.
        early_ms: By how much one may come before its time.
    """

    spacing_ms: float
    early_ms: float

    @classmethod
    def of(cls, text: str) -> Pace:
        """Return the pace of a limit as `rate_text` writes it."""
        spacing = 1000 / (parse_rate(text) or math.inf)
        return cls(spacing, max(0, math.floor(100 / spacing) - 1) * spacing)

    def tokens(self, kept_ms: float, now_ms: int) -> tuple[int, float]:
        """Return (how many may go now, the time from which they are counted).

        Args:
            kept_ms: What was kept: the time from which the next is counted, 0 for none.
            now_ms: The broker's clock.
        """
        start = max(now_ms, min(kept_ms, now_ms + self.early_ms + self.spacing_ms))
        count = math.floor((now_ms + self.early_ms - start) / self.spacing_ms + 1.000001)
        return max(0, count), start

    def next_ms(self, start_ms: float) -> int:
        """Return when there is one again, if none is left that is counted from before this time."""
        return math.ceil(start_ms - self.early_ms)
