"""Reads rate limits as Celery writes them. Pure; the worker enforces them.

Next in the walk: `windlass.runtime.pacing`.
"""

from __future__ import annotations

import re

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
