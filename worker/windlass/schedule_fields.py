"""The five fields of a crontab: from what a person writes to sets of numbers. Pure.

    groups  :: expr ( ',' expr )*            "1,13,30-45,50-59/2"
    expr    :: ( '*' | range ) ( '/' step )?
    range   :: number ( '-' number )?        "22-2" goes on past the end: 22, 23, 0, 1, 2
    number  :: digits | name                 names of days and months, from three letters on

A step counts from the first of its range, so "*/40" of minutes is 0 and 40.
Next in the walk: `windlass.schedule_times`, which finds the times that match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NoReturn

import msgspec

from windlass.errors import ConfigurationError

#: What a field may be given as.
Cronspec = int | str | Iterable[int]

_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_EXPR = re.compile(r"(?:(\*)|\s*(\w+)\s*(?:-\s*(\w+)\s*)?)(?:/\s*(\w+)\s*)?")
_LONGEST_MONTH = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}


class ParseException(ConfigurationError, ValueError):  # noqa: N818 - Celery's name
    """A field of a crontab is wrong; the text says which, what was given and what is expected."""


class Field(msgspec.Struct, frozen=True):
    """One field: its name and its numbers, from `low` to `high`.

    Attributes:
        names: Words for the numbers, the first for `low`.
        hint: What else to say when it is wrong.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    hint: str = ""

    def expand(self, spec: Cronspec) -> frozenset[int]:
        """Return the numbers that a field stands for.

        Raises:
            ParseException: It cannot be read, is empty, or has a number out of range.
            TypeError: It is neither a number, a text nor a collection of numbers.
        """
        if isinstance(spec, str):
            return self._parse(spec)
        if isinstance(spec, int) and not isinstance(spec, bool):
            return frozenset((self._checked(spec, spec),))
        if not isinstance(spec, Iterable):
            text = f"crontab {self.name} is {spec!r}; expected {self._expected()}."
            raise TypeError(text)
        numbers = list(spec)
        if not numbers:
            self._fail(spec, "it is empty, so it would never be due")
        return frozenset(self._checked(number, spec) for number in numbers)

    def _parse(self, spec: str) -> frozenset[int]:
        numbers: set[int] = set()
        for part in spec.split(","):
            numbers.update(self._part(part.strip(), spec))
        return frozenset(numbers)

    def _part(self, part: str, spec: str) -> list[int]:
        match = _EXPR.fullmatch(part)
        if match is None:
            self._fail(spec, f"{part!r} cannot be read" if part else "a part of it is empty")
        star, first, last, step = match.groups()
        if star:
            numbers = list(range(self.low, self.high + 1))
        elif last is None and step is not None:
            self._fail(
                spec, f"{part!r} has a step and no range; write '{first}-{self.high}/{step}'"
            )
        else:
            numbers = self._range(self._number(first, spec), self._number(last or first, spec))
        if step is None:
            return numbers
        if not step.isdecimal() or int(step) == 0:
            self._fail(spec, f"the step {step!r} is no number above 0")
        return numbers[:: int(step)]

    def _range(self, first: int, last: int) -> list[int]:
        if first <= last:
            return list(range(first, last + 1))
        return [*range(first, self.high + 1), *range(self.low, last + 1)]

    def _number(self, word: str, spec: str) -> int:
        if word.isdecimal():
            return self._checked(int(word), spec)
        if len(word) >= 3:
            for at, name in enumerate(self.names):
                if name.startswith(word.lower()):
                    return self.low + at
        return self._fail(spec, f"{word!r} is neither a number nor a name")

    def _checked(self, number: object, spec: Cronspec) -> int:
        if isinstance(number, bool) or not isinstance(number, int):
            self._fail(spec, f"{number!r} is no whole number")
        if not self.low <= number <= self.high:
            self._fail(spec, f"{number} is out of range")
        return number

    def _fail(self, spec: object, problem: str) -> NoReturn:
        text = f"crontab {self.name}={spec!r}: {problem}. Expected {self._expected()}.{self.hint}"
        raise ParseException(text)

    def _expected(self) -> str:
        names = f" or names ('{self.names[0][:3]}', '{self.names[0]}')" if self.names else ""
        return (
            f"numbers from {self.low} to {self.high}{names}, as a number, a collection of numbers, "
            f"or a text such as '*', '*/5', '{self.low},{self.low + 2}' or "
            f"'{self.low}-{self.low + 4}/2'"
        )


MINUTE = Field("minute", 0, 59)
HOUR = Field("hour", 0, 23)
DAY_OF_WEEK = Field("day_of_week", 0, 6, _DAYS, " Sunday is 0, not 7.")
DAY_OF_MONTH = Field("day_of_month", 1, 31)
MONTH_OF_YEAR = Field("month_of_year", 1, 12, _MONTHS)


class Fields(msgspec.Struct, frozen=True, kw_only=True):
    """What a crontab matches. A day has to be in all three of its fields."""

    minute: frozenset[int]
    hour: frozenset[int]
    day_of_week: frozenset[int]
    day_of_month: frozenset[int]
    month_of_year: frozenset[int]

    def __post_init__(self) -> None:
        """Refuse a day that no year has."""
        if not any(
            day <= _LONGEST_MONTH.get(month, 31)
            for month in self.month_of_year
            for day in self.day_of_month
        ):
            text = (
                f"crontab day_of_month={sorted(self.day_of_month)} never occurs in "
                f"month_of_year={sorted(self.month_of_year)}, so it would never be due."
            )
            raise ParseException(text)


class crontab_parser:  # noqa: N801 - Celery's name
    """Reads one field on its own, as Celery's class of this name.

    >>> sorted(crontab_parser(60).parse("*/15"))
    [0, 15, 30, 45]

    Args:
        max_: How many numbers the field has.
        min_: The first of them.
    """

    ParseException = ParseException

    def __init__(self, max_: int = 60, min_: int = 0) -> None:
        names = _DAYS if (max_, min_) == (7, 0) else _MONTHS if (max_, min_) == (12, 1) else ()
        self.max_ = max_
        self.min_ = min_
        self._field = Field("field", min_, min_ + max_ - 1, names)

    def parse(self, spec: str) -> set[int]:
        """Return the numbers that a text stands for.

        Raises:
            ParseException: It cannot be read.
        """
        return set(self._field.expand(spec))
