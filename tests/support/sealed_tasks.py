"""The app of the workers and senders that sign and encrypt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from windlass import Windlass, chain, group

app = Windlass("sealed_tasks", set_as_current=False)
MARKS = Path(os.environ.get("MARKS", "/nonexistent"))


def mark(name: str, text: str) -> None:
    with (MARKS / name).open("a") as file:
        file.write(f"{text}\n")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def join(values: list[Any], *more: Any) -> list[Any]:
    return [*values, *more]


@app.task
def fail(text: str) -> None:
    raise KeyError(text)


@app.task
def told(failed_id: str) -> None:
    mark("told", failed_id)


@app.task(bind=True, max_retries=2, default_retry_delay=0.01)
def flaky(self: Any, name: str) -> list[Any]:
    if self.request.retries < 2:
        raise self.retry(kwargs={"name": name + "!"}, args=())
    return [self.request.retries, name]


@app.task(bind=True)
def replaced(self: Any, x: int) -> Any:
    return self.replace(chain(add.s(x, 1), add.s(10)))


@app.task(bind=True)
def replaced_by_group(self: Any, x: int) -> Any:
    return self.replace(group(add.s(x, 1), add.s(x, 2)))


@app.task(bind=True)
def progresses(self: Any) -> str:
    self.update_state(state="PROGRESS", meta={"at": 1})
    return self.AsyncResult(self.request.id).state


@app.task(bind=True)
def adds_to_chord(self: Any, x: int) -> int:
    self.add_to_chord(add.s(x, 100))
    return x


@app.task
def note(name: str, value: Any) -> None:
    mark(name, repr(value))
