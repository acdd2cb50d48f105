"""Long tasks that save how far they have come."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from windlass import Windlass
from windlass.exceptions import LeaseLostError

INTERVAL_S = float(os.environ.get("CHECKPOINT_INTERVAL", "0"))
app = Windlass("checkpoint_tasks", task_checkpoint_interval=INTERVAL_S)
MARKS = Path(os.environ["MARKS"])


def mark(name: str, text: object = "") -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


@app.task(bind=True, max_retries=0)
def count(self: Any, steps: int, waits_after: int) -> dict[str, int]:
    """Do steps; behind one of them wait for the test's word, or for the end of the worker."""
    begins = self.request.checkpoint or 0
    for step in range(begins, steps):
        mark("steps", step)
        self.checkpoint(step + 1)
        while step == waits_after and not (MARKS / "on").exists():
            self.checkpoint(step + 1, hands_back=True)
            time.sleep(0.01)
    request = self.request
    return {
        "from": begins,
        "deliveries": request.deliveries,
        "handbacks": request.handbacks,
        "retries": request.retries,
    }


@app.task(bind=True, max_retries=5)
async def retried(self: Any, times: int) -> list[list[Any]]:
    """Return for each run its number and what it found."""
    found = await self.aload_checkpoint()
    seen = [*(found["seen"] if found else []), [self.request.retries, found and found["last"]]]
    await asyncio.sleep(0)
    if self.request.retries < times:
        await self.acheckpoint({"seen": seen, "last": None})
        await self.acheckpoint({"seen": seen, "last": self.request.retries + 1})
        raise self.retry(countdown=0)
    return seen


@app.task(bind=True)
def zombie(self: Any, name: str) -> str:
    """Save once the test says so."""
    mark(f"{name}.began")
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.003)
    try:
        self.checkpoint(self.request.deliveries, force=True)
    except LeaseLostError as error:
        mark(f"{name}.ended", type(error).__name__)
        raise
    mark(f"{name}.ended", "saved")
    return "second" if self.request.deliveries else "first"
