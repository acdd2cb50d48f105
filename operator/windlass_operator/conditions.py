"""Standard conditions: built from what is true now, kept stable over time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition as it should be now. `status`: True, False, or None for Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str = ""


def timestamp(now_s: float) -> str:
    """RFC 3339 in UTC, whole seconds, as metav1.Time has it."""
    return datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def merged(
    current: Sequence[Mapping[str, Any]], wanted: Iterable[Condition], generation: int, now_s: float
) -> list[dict[str, Any]]:
    """Return the conditions to write: lastTransitionTime moves only when the status flips.

    Args:
        current: As the object has them.
        wanted: In the order they are to be shown.
        generation: Of the spec that they are about.
        now_s: Time of a flip.
    """
    known = {condition.get("type"): condition for condition in current}
    result = []
    for condition in wanted:
        status = {True: "True", False: "False", None: "Unknown"}[condition.status]
        before = known.get(condition.type, {})
        same = before.get("status") == status
        result.append(
            {
                "type": condition.type,
                "status": status,
                "observedGeneration": generation,
                "lastTransitionTime": (same and before.get("lastTransitionTime"))
                or timestamp(now_s),
                "reason": condition.reason,
                "message": condition.message[:32_768],
            }
        )
    return result
