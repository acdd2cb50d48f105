"""The app that the workers of these tests run; tasks leave a line for each run in $MARKS."""

from __future__ import annotations

import os
import time
from pathlib import Path

from windlass import Windlass

app = Windlass("forms_tasks")
MARKS = Path(os.environ.get("MARKS", "."))


@app.task(bind=True)
def add(self, x, y):
    with (MARKS / "runs").open("a") as file:
        file.write(f"{self.request.id}\n")
    return x + y


@app.task
def hold(name):
    """Say that it runs, then wait for the test's word."""
    (MARKS / f"{name}.began").touch()
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.005)
    return name
