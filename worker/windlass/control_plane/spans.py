"""Ages and moments as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def age(milliseconds: float) -> str:
    """`850ms`, `12s`, `5m10s`, `3h02m`, `2d04h`; a dash for nothing."""
    if milliseconds <= 0:
        return "-"
    if milliseconds < 1000:
        return f"{milliseconds:.0f}ms"
    seconds = int(milliseconds / 1000)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86400}d{seconds % 86400 // 3600:02d}h"


def moment(at_ms: int) -> str:
    """An absolute time of the broker's clock in UTC; a dash for none."""
    if at_ms <= 0:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
