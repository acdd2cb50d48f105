"""Tasks that fail until the test says otherwise, by a file in $MARKS."""

from __future__ import annotations

import os
import time
from pathlib import Path

from windlass import Windlass

app = Windlass("dead_letter_tasks")
MARKS = Path(os.environ["MARKS"])


def mark(name: str, text: str = "") -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


def fail_unless_mended(name: str) -> str:
    if not (MARKS / f"{name}.mended").exists():
        raise ValueError(f"{name} is broken")
    return name


@app.task(bind=True, autoretry_for=(ValueError,), retry_kwargs={"countdown": 0, "max_retries": 2})
def flaky(self, name):
    """Fail after two retries."""
    mark(f"{name}.ran", f"{self.request.retries} {self.request.generation}")
    return fail_unless_mended(name)


@app.task(dead_letter_on_failure=True)
def precious(name):
    mark(f"{name}.ran")
    return fail_unless_mended(name)


@app.task
def plain(name):
    return fail_unless_mended(name)


@app.task(time_limit=0.3)
def slow():
    time.sleep(60)


@app.task
def after(value):
    mark("after.ran")
    return value


@app.task
def tell(task_id):
    mark("told", task_id)
