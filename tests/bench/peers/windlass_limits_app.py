"""No-op tasks under limits that are too high to bind: what counting costs, and nothing else."""

from __future__ import annotations

import os

from harness import marks
from harness.peer import RESULTS_NAME, URL_NAME

from windlass import Windlass

_url = os.environ[URL_NAME]
_KEYS = 1_000

app = Windlass("bench", broker=_url, backend=_url if os.environ[RESULTS_NAME] == "1" else None)


def _key(index: int) -> int:
    return index % _KEYS


@app.task(ignore_result=True, rate_limit="1000000/s")
def rated(index: int) -> None:
    """Count and return."""
    marks.count()


@app.task(ignore_result=True, max_concurrency=100_000)
def narrow(index: int) -> None:
    """Count and return."""
    marks.count()


@app.task(ignore_result=True, limit_key=_key, max_concurrency_per_key=1_000)
def keyed(index: int) -> None:
    """Count and return."""
    marks.count()


@app.task(ignore_result=True, limit_key=_key, fair_share=True)
def turns(index: int) -> None:
    """Count and return."""
    marks.count()


@app.task(ignore_result=True)
def beside(index: int) -> None:
    """Count and return: it has no limit, others here have."""
    marks.count()
