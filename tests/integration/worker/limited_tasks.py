"""An app whose tasks have limits that all workers share; what runs when is noted in $MARKS."""

from __future__ import annotations

import os
import time
from pathlib import Path

from windlass import Windlass

app = Windlass("limited_tasks")
MARKS = Path(os.environ["MARKS"])


def mark(name: str, text: str) -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{text}\n")


def run(name: str, seconds: float) -> None:
    """Note when it ran: beginning and end, on the clock that all processes share."""
    began = time.monotonic()
    time.sleep(seconds)
    mark(name, f"{began} {time.monotonic()}")


@app.task(rate_limit="50/s", ignore_result=True)
def rated(n):
    run("rated", 0)


@app.task(rate_limit="50/s", rate_limit_scope="worker", ignore_result=True)
def rated_here(n):
    run("rated_here", 0)


@app.task(max_concurrency=2, ignore_result=True)
def narrow(seconds=0.02):
    run("narrow", seconds)


@app.task(limit_key="{user}", max_concurrency_per_key=1, ignore_result=True)
def of_user(user, seconds=0.02):
    run(f"user-{user}", seconds)


@app.task(limit_key="{0}", fair_share=True, ignore_result=True)
def shared(user, n):
    mark("shared", f"{user} {n}")


@app.task
def pass_on(value):
    return value


@app.task(ignore_result=True)
def free():
    run("free", 0)


@app.task(max_concurrency=1, ignore_result=True)
def alone(name):
    mark("alone", name)
    while not (MARKS / f"{name}.go").exists():
        time.sleep(0.003)
