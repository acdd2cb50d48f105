"""An app in memory with a few tasks, and a worker that runs them in a thread of the test."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from windlass import Task, Windlass
from windlass.contrib.testing.worker import start_worker


@pytest.fixture(scope="module")
def shop() -> Iterator[SimpleNamespace]:
    """Tasks on memory://, with a worker; `calls` lists what errbacks and callbacks got."""
    app = Windlass("shop", broker="memory://shop", backend="memory://shop")
    tasks = declare(app)
    with start_worker(app):
        yield tasks
    app.close()


@pytest.fixture
def eager_shop() -> Iterator[SimpleNamespace]:
    """The same tasks, run where they are called."""
    address = "memory://eager"  # apps with one address share what is there
    app = Windlass("eager", broker=address, backend=address, task_always_eager=True)
    yield declare(app)
    app.close()


def declare(app: Windlass) -> SimpleNamespace:  # noqa: C901 - a list of tasks, no branches
    """Declare the tasks."""
    calls: list[Any] = []

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def total(values: list[int]) -> int:
        return sum(values)

    @app.task
    def same(value: Any) -> Any:
        return value

    @app.task
    def boom(*args: Any) -> None:
        raise ValueError("boom")

    @app.task
    def note(*args: Any) -> None:
        calls.append(args)

    @app.task
    def errback(request: Any, exc: BaseException, traceback: str) -> None:
        calls.append((request.id, type(exc).__name__, str(exc)))

    @app.task(bind=True)
    def stamps(self: Task[..., Any], *args: Any) -> Any:
        return self.request.stamps

    @app.task(bind=True)
    def become(self: Task[..., Any], what: Any) -> Any:
        raise self.replace(app.signature(what))

    @app.task(bind=True)
    def grow(self: Task[..., Any], x: int) -> int:
        self.add_to_chord(add.s(x, 100))
        return x

    @app.task(bind=True)
    def place(self: Task[..., Any], *args: Any) -> Any:
        request = self.request
        return [request.root_id, request.parent_id, request.group, request.group_index]

    return SimpleNamespace(
        app=app, calls=calls, add=add, total=total, same=same, boom=boom, note=note,
        errback=errback, stamps=stamps, become=become, grow=grow, place=place,
    )  # fmt: skip
