"""The app of these tests: in the worker, and as the sender in the test itself."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from pydantic import BaseModel

from windlass import Windlass
from windlass.exceptions import Ignore, SoftTimeLimitExceeded
from windlass.signals import worker_process_init

app = Windlass("feature_tasks", set_as_current=False)


#: Opened once in each process that runs tasks.
resources: list[int] = []


class Point(BaseModel):
    x: int
    y: int = 0


@worker_process_init.connect
def open_resources(**_: Any) -> None:
    resources.append(os.getpid())


@app.task
def resources_of_process() -> bool:
    return resources == [os.getpid()]


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def note(name: str, value: Any = None) -> None:
    app.backend.store_raw(name, repr(value).encode(), 60_000)


@app.task
def fail(text: str) -> None:
    raise KeyError(text)


@app.task(name="errback")
def errback(request: Any, exc: Exception, traceback: str) -> None:
    note.run("errback", [request.id, type(exc).__name__, "KeyError" in traceback])


@app.task(bind=True, max_retries=3, default_retry_delay=0.01)
def flaky(self: Any, times: int) -> list[Any]:
    if self.request.retries < times:
        raise self.retry(exc=ValueError(self.request.retries))
    return [self.request.retries, self.request.idempotency_key == f"{self.request.id}:0"]


@app.task(autoretry_for=(ValueError,), retry_backoff=True, retry_backoff_max=0.01, max_retries=2)
async def aflaky(text: str) -> None:
    raise ValueError(text)


@app.task(bind=True)
def replaced(self: Any) -> None:
    self.replace(add.s(40, 2))


@app.task(bind=True)
def progressing(self: Any, key: str) -> str:
    """Store progress, then wait until the test has seen it."""
    self.update_state(state="HALFWAY", meta={"n": 1})
    while app.backend.get_raw(key) is None:
        time.sleep(0.005)
    return "done"


@app.task
def parent() -> list[str]:
    return [result.id for result in add.send_many([(1, 2), (3, 4)])]


@app.task(soft_time_limit=0.1)
async def limited() -> str:
    try:
        await asyncio.Event().wait()
    except SoftTimeLimitExceeded:
        return "cleaned"
    return "never"


@app.task(pydantic=True)
def mirror(point: Point) -> Point:
    return Point(x=point.y, y=point.x)


@app.task(bind=True)
def ignoring(self: Any) -> None:
    self.update_state(state="LEFT", meta="as it was")
    raise Ignore


@app.task(bind=True)
async def who(self: Any) -> list[Any]:
    return [self.request.called_directly, self.request.delivery_info["routing_key"]]
