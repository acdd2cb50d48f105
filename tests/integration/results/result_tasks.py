"""The app that the worker of these tests runs."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import os
import time
import uuid
from pathlib import Path

from windlass import Windlass
from windlass.exceptions import Ignore
from windlass.result import AsyncResult, ResultSet, allow_join_result

app = Windlass("result_tasks")
GATES = Path(os.environ.get("GATES", "."))


class CardDeclinedError(Exception):
    """Only workers have this module, so callers get a stand-in."""

    def __init__(self, card: str, *, code: int) -> None:
        super().__init__(f"{card} was declined", code)


def wait_for_gate(name: str) -> None:
    while not (GATES / name).exists():
        time.sleep(0.003)


@app.task
def echo(value):
    return value


@app.task
def typed():
    return {
        "when": datetime.datetime(2026, 11, 24, 6, 0, tzinfo=datetime.UTC),
        "day": datetime.date(2026, 11, 24),
        "amount": decimal.Decimal("9.90"),
        "id": uuid.UUID(int=7),
        "raw": b"\xff",
        "pair": (1, 2),
    }


@app.task
def fail(kind, *args):
    raise {"key": KeyError, "value": ValueError}[kind](*args)


@app.task
def decline():
    raise CardDeclinedError("4711", code=51)


@app.task
def unserialisable():
    return {"handle": object()}


@app.task
def too_large():
    return "x" * 100_000


@app.task(serializer="json")
def kwargs_of(**kwargs):
    return kwargs


@app.task(ignore_result=True)
def ignored(value):
    return value


@app.task(bind=True)
def progress(self, gate):
    self.update_state(state="PROGRESS", meta={"done": 1})
    wait_for_gate(gate)
    return "done"


@app.task(bind=True)
def ignore_after_progress(self):
    self.update_state(state="PROGRESS", meta={"done": 1})
    raise Ignore


@app.task(track_started=True)
def gated(gate):
    wait_for_gate(gate)
    return gate


@app.task(bind=True, max_retries=1)
def retry_once(self, gate):
    if self.request.retries:
        wait_for_gate(gate)
        return "second"
    raise self.retry(exc=ValueError("first"), countdown=0)


@app.task
def parent(n):
    for i in range(n):
        echo.delay(i)
    return "parent"


@app.task
def gets_inside(task_id):
    return AsyncResult(task_id, app=app).get(timeout=5)


@app.task
def gets_inside_allowed(task_id):
    with allow_join_result():
        return ResultSet([AsyncResult(task_id, app=app)]).get(timeout=5)


@app.task
async def awaits_inside(task_id):
    return await AsyncResult(task_id, app=app)


@app.task
async def awaits_and_sends(value):
    result = await echo.aapply_async((value,), queue="asyncio")
    async with asyncio.timeout(20):
        return [await result]
