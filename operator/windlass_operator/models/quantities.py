"""Durations and memory sizes as resources write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(r"(?:\d+(?:ms|s|m|h|d))+")
_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_MEMORY_KIB = {"Ki": 1, "Mi": 1024, "Gi": 1024 * 1024}
_MEMORY = re.compile(r"(\d+)(Ki|Mi|Gi)")


def parse_duration(value: object) -> float:
    """Return seconds for words like 90s, 10m, 1h30m, 7d.

    Raises:
        ValueError: Anything else, with the form that is expected.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        # pydantic turns a ValueError, not a TypeError, into a message for the user
        raise ValueError(  # noqa: TRY004
            f"{value!r} has no unit; expected a number with s, m, h or d: '{value}s'"
        )
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f"{value!r} is no duration; expected e.g. '90s', '10m' or '1h30m'")
    return sum(int(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))


def parse_memory_kib(value: object) -> int:
    """Return KiB for words like 512Mi.

    Raises:
        ValueError: Anything else, with the form that is expected.
    """
    found = _MEMORY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is no memory size; expected e.g. '512Mi' or '2Gi'")
    return int(found[1]) * _MEMORY_KIB[found[2]]


def short_age(seconds: float) -> str:
    """Say an age as kubectl does: 45s, 3m, 2h, 5d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit == "m" and seconds >= 120):
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


#: Seconds, written as words.
Seconds = Annotated[float, BeforeValidator(parse_duration)]
#: KiB, written as words.
Kibibytes = Annotated[int, BeforeValidator(parse_memory_kib)]
