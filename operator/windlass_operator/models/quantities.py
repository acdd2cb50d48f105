"""Durations, rates and memory sizes as resources write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_PART = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_MEMORY_KIB = {"Ki": 1, "Mi": 1024, "Gi": 1024 * 1024}


@dataclass(frozen=True, slots=True)
class Words:
    """How a quantity is written: what the schema in crds/ says of the same field."""

    pattern: str
    example: str
    max_length: int = 32

    def is_met(self, text: str) -> bool:
        """Whether the text is of this form."""
        return len(text) <= self.max_length and re.fullmatch(self.pattern, text) is not None


DURATION = Words(r"^([0-9]+(s|m|h))+$", "'90s', '10m' or '1h30m'")
LONG_DURATION = Words(r"^([0-9]+d|([0-9]+(s|m|h))+)$", "'90s', '10m', '1h30m' or '7d'")
SHORT_DURATION = Words(r"^([0-9]+(ms|s|m|h))+$", "'200ms', '90s' or '5m'")
MEMORY = Words(r"^[0-9]+(Ki|Mi|Gi)$", "'512Mi' or '2Gi'")
RATE = Words(r"^[0-9]{1,9}(\.[0-9]{1,6})?/(s|m|h)$", "'100/s', '30/m' or '2.5/h'")


def parse_duration(value: object, words: Words = DURATION) -> float:
    """Return seconds for words like 90s, 10m, 1h30m.

    Raises:
        ValueError: Anything else, with the form that is expected.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        # pydantic turns a ValueError, not a TypeError, into a message for the user
        raise ValueError(  # noqa: TRY004
            f"{value!r} has no unit; expected a number with s, m or h: '{value}s'"
        )
    if not isinstance(value, str) or not words.is_met(value):
        raise ValueError(f"{value!r} is no duration; expected e.g. {words.example}")
    return sum(int(number) * _UNITS_S[unit] for number, unit in _PART.findall(value))


def parse_memory_kib(value: object) -> int:
    """Return KiB for words like 512Mi.

    Raises:
        ValueError: Anything else, with the form that is expected.
    """
    if not isinstance(value, str) or not MEMORY.is_met(value):
        raise ValueError(f"{value!r} is no memory size; expected e.g. {MEMORY.example}")
    return int(value[:-2]) * _MEMORY_KIB[value[-2:]]


def checked_rate(value: object) -> str:
    """Return the words of a rate, like 100/s, as they are.

    Raises:
        ValueError: Anything else, with the form that is expected; or a rate of nothing.
    """
    if not isinstance(value, str) or not RATE.is_met(value):
        raise ValueError(f"{value!r} is no rate; expected e.g. {RATE.example}")
    if not parse_rate(value):
        raise ValueError(
            f"{value!r} must let something through, e.g. '1/h'; to hold everything back set paused"
        )
    return value


def parse_rate(words: str) -> float:
    """Return messages a second for words like 100/s, 30/m."""
    number, _, unit = words.partition("/")
    return float(number) / _UNITS_S[unit]


def short_age(seconds: float) -> str:
    """Say an age as kubectl does: 45s, 3m, 2h, 5d."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size or (unit == "m" and seconds >= 120):
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _duration(words: Words) -> BeforeValidator:
    return BeforeValidator(lambda value: parse_duration(value, words))


#: Seconds, written as words; up to days; from milliseconds.
Seconds = Annotated[float, DURATION, _duration(DURATION)]
LongSeconds = Annotated[float, LONG_DURATION, _duration(LONG_DURATION)]
ShortSeconds = Annotated[float, SHORT_DURATION, _duration(SHORT_DURATION)]
#: Messages in a time, as the words themselves: that is what the queue record has.
Rate = Annotated[str, RATE, BeforeValidator(checked_rate)]
#: KiB, written as words.
Kibibytes = Annotated[int, MEMORY, BeforeValidator(parse_memory_kib)]
