"""The app that the workers of these tests run. Tasks speak to the test through files in $MARKS."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from windlass import Windlass
from windlass.exceptions import Reject, Retry, SoftTimeLimitExceeded

app = Windlass("worker_tasks")
#: Pool solo refuses hard limits at start.
HARD_S = None if os.environ.get("NO_HARD_LIMITS") else 0.5
MARKS = Path(os.environ["MARKS"])


def mark(name: str, text: str = "") -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


def hold_until(name: str) -> None:
    while not (MARKS / name).exists():
        time.sleep(0.003)


@app.task
def add(x, y):
    return x + y


@app.task(ignore_result=True)
def nothing():
    pass


@app.task
def pid():
    return os.getpid()


@app.task
def hold(name):
    """Say that it runs, then wait for the test's word."""
    mark(f"{name}.began")
    hold_until(f"{name}.go")
    mark(f"{name}.ended")
    return name


@app.task
async def ahold(name):
    mark(f"{name}.began")
    while not (MARKS / f"{name}.go").exists():
        await asyncio.sleep(0.003)
    mark(f"{name}.ended")
    return name


@app.task(acks_late=False)
def hold_early(name):
    return hold.run(name)


@app.task(acks_late=False)
def add_early(x, y):
    return x + y


@app.task(bind=True, acks_late=False, max_retries=1, default_retry_delay=0.01)
def retry_early(self):
    if self.request.retries:
        return "again"
    raise Retry(when=0.01)


@app.task
def quick(name):
    mark(f"{name}.began")
    return name


@app.task
def die(name, signum=signal.SIGKILL):
    mark(f"{name}.began")
    os.kill(os.getpid(), signum)
    time.sleep(60)


@app.task
def leave(name, code):
    mark(f"{name}.began")
    os._exit(code)


@app.task(acks_late=False)
def die_early(name):
    die.run(name)


@app.task(soft_time_limit=0.3)
def soft(name, *, catches=True):
    mark(f"{name}.began")
    try:
        while True:
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        mark(f"{name}.soft")
        if catches:
            return "cleaned up"
        raise


@app.task(soft_time_limit=0.3)
async def asoft(name, *, catches=True):
    mark(f"{name}.began")
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        mark(f"{name}.soft")
        if catches:
            return "cleaned up"
        raise


@app.task(time_limit=HARD_S)
def hard(name):
    mark(f"{name}.began")
    while True:
        time.sleep(0.01)


@app.task(time_limit=HARD_S)
async def ahard(name):
    mark(f"{name}.began")
    await asyncio.sleep(60)


@app.task
def grow(name, mib):
    """Take memory, and go on until the test's word."""
    block = bytearray(mib * 1024 * 1024)
    for at in range(0, len(block), 4096):
        block[at] = 1
    mark(f"{name}.began")
    hold_until(f"{name}.go")
    return os.getpid()


@app.task(track_started=True)
def tracked(name):
    return hold.run(name)


@app.task(rate_limit="20/s", rate_limit_scope="worker")
def limited_here(n):
    return n


@app.task(rate_limit="20/s")
def limited(n):
    mark("limited", str(time.monotonic()))
    return n


@app.task(bind=True)
def deliveries(self, _name=None):
    return [self.request.deliveries, self.request.handbacks]


@app.task(bind=True)
def die_once(self, name):
    """Take the process along on the first delivery."""
    mark(f"{name}.began")
    if not self.request.deliveries:
        os.kill(os.getpid(), signal.SIGKILL)
    return [self.request.deliveries, self.request.handbacks]


@app.task
def refuse():
    raise Reject("no", requeue=False)


@app.task
def leave_politely():
    sys.exit(3)


@app.task
def gather(*values):
    """Return what it was given; a step of workflows."""
    mark("gathered", repr(values))
    return list(values)


@app.task
def cannot(*_values):
    raise ValueError("cannot")
