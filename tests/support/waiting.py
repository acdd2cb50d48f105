"""Waiting for a condition, with a deadline: what tests use in place of sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Generous: it bounds a failing test, it never slows a passing one.
DEFAULT_TIMEOUT_S = 20.0
_PAUSE_S = 0.005


def eventually(
    predicate: Callable[[], T], timeout: float = DEFAULT_TIMEOUT_S, message: str = ""
) -> T:
    """Call `predicate` until it returns something true, and return that.

    An AssertionError that it raises counts as "not yet"; the last one is chained to the failure.

    Args:
        predicate: Asked every 5 ms; must not change what it looks at.
        timeout: Seconds until the test fails.
        message: What was waited for, for the failure's text.
    """
    deadline = time.monotonic() + timeout
    while True:
        value, refusal = _ask(predicate)
        if value:
            return value  # type: ignore[return-value]  # true, so not the None of a refusal
        if time.monotonic() > deadline:
            raise AssertionError(_text(message, predicate, timeout, value)) from refusal
        time.sleep(_PAUSE_S)


async def aeventually(
    predicate: Callable[[], T], timeout: float = DEFAULT_TIMEOUT_S, message: str = ""
) -> T:
    """As `eventually`, letting the event loop run between two looks."""
    deadline = time.monotonic() + timeout
    while True:
        value, refusal = _ask(predicate)
        if value:
            return value  # type: ignore[return-value]  # as above
        if time.monotonic() > deadline:
            raise AssertionError(_text(message, predicate, timeout, value)) from refusal
        await asyncio.sleep(_PAUSE_S)


def _ask(predicate: Callable[[], T]) -> tuple[T | None, AssertionError | None]:
    try:
        return predicate(), None
    except AssertionError as refusal:
        return None, refusal


def _text(message: str, predicate: object, timeout: float, value: object) -> str:
    what = message or getattr(predicate, "__name__", repr(predicate))
    return f"Not within {timeout} s: {what} (last seen: {value!r})"
