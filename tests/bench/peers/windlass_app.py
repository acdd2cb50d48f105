"""The Windlass application under measurement: defaults throughout."""

from __future__ import annotations

import os
import time

from harness import marks
from harness.peer import RESULTS_NAME, URL_NAME

from windlass import Windlass

_url = os.environ[URL_NAME]

app = Windlass("bench", broker=_url, backend=_url if os.environ[RESULTS_NAME] == "1" else None)


@app.task(ignore_result=True)
def warmup() -> None:
    """Nothing: sent once, to open the connection."""


@app.task(ignore_result=True)
def noop() -> None:
    """Count and return."""
    marks.count()


@app.task
def add(x: int, y: int) -> int:
    """Count and add."""
    marks.count()
    return x + y


@app.task
def stored() -> None:
    """Nothing, with a result."""


@app.task
def total(values: list[None]) -> int:
    """Count what a header returned."""
    return len(values)


@app.task(ignore_result=True)
def mark(index: int) -> None:
    """Leave a mark."""
    marks.mark(index)


@app.task(ignore_result=True)
def work50(index: int) -> None:
    """Work for 50 ms."""
    time.sleep(0.05)
    marks.mark(index)
