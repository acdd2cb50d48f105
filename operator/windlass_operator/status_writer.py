"""When a status is written: at once for news, now and then for mere numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Numbers alone are written this seldom, seconds.
NUMBERS_S = 15.0
_AT_ONCE = (
    "observedGeneration",
    "desiredReplicas",
    "replicas",
    "readyReplicas",
    "selector",
    "templateHash",
    "queueName",
    "binding",
    "pools",
    "schedule",
    "lastTrigger",
    "deadLetters",
)


def is_due(
    current: Mapping[str, Any], wanted: Mapping[str, Any], written_s: float, now_s: float
) -> bool:
    """Whether to write `wanted` over `current` now.

    Args:
        current: The status on the object.
        wanted: As it should be.
        written_s: When we last wrote it.
        now_s: The instant.
    """
    if current == wanted:
        return False
    if any(current.get(key) != wanted.get(key) for key in _AT_ONCE):
        return True
    if _news(current) != _news(wanted):
        return True
    return now_s - written_s >= NUMBERS_S


def _news(status: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (c.get("type"), c.get("status"), c.get("reason"), c.get("observedGeneration"))
        for c in status.get("conditions", ())
    ]
