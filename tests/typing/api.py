"""The types of the public API, as a type checker sees them. Checked, never run.

`assert_type` says what an expression is. A line with an ignore comment must be an error: the
checkers run with unused ignores as errors, so an accepted mistake fails the test.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, assert_type

from windlass import (
    Celery,
    Signature,
    Task,
    Windlass,
    chain,
    chord,
    chunks,
    current_app,
    group,
    shared_task,
    signature,
    xmap,
    xstarmap,
)
from windlass.result import AsyncResult, EagerResult, GroupResult

app = Windlass("typed", broker="redis://localhost", backend="redis://", task_serializer="json")
assert_type(Celery("typed"), Windlass)
assert_type(current_app(), Windlass)


@app.task
def add(x: int, y: int = 0) -> str:
    return str(x + y)


@app.task()
def empty() -> None: ...


@app.task(bind=True, max_retries=5, queue="bulk")
def bound(self: Task[..., float], x: int) -> float:
    if self.request.retries > 3:
        raise self.retry(countdown=3)
    return float(x)


@app.task
async def fetch(url: str) -> bytes:
    return url.encode()


@shared_task
def plain_shared(x: int) -> str:
    return str(x)


@shared_task(bind=True, name="other")
def bound_shared(self: Task[..., str], x: int) -> str:
    return str(x)


def calls() -> None:
    assert_type(add(1, 2), str)
    assert_type(add(1, y=2), str)
    assert_type(add.delay(1, 2), AsyncResult[str])
    assert_type(add.delay(1, y=2).get(timeout=3), str)
    assert_type(add.apply_async((1, 2), countdown=3, queue="bulk"), AsyncResult[str])
    assert_type(add.apply((1,)), EagerResult[str])
    assert_type(add.s(1), Signature[str])
    assert_type(add.si(1, 2), Signature[str])
    assert_type(add.s(1).delay(2), AsyncResult[str])
    assert_type(empty.delay().get(), None)


def mistakes_are_found() -> None:
    add()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    add.delay("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add.delay(1, z=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    add.si(1, "2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add.apply_async(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bound.delay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    bound_shared.delay("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def self_is_typed_away() -> None:
    assert_type(bound(1), float)
    assert_type(bound.delay(1), AsyncResult[float])
    assert_type(bound_shared.delay(1), AsyncResult[str])
    assert_type(plain_shared.delay(1), AsyncResult[str])


async def async_tasks_and_async_calls() -> None:
    assert_type(await fetch("u"), bytes)
    assert_type(fetch.delay("u"), AsyncResult[bytes])
    assert_type(fetch.s("u"), Signature[bytes])
    assert_type(fetch.si("u").delay(), AsyncResult[bytes])
    assert_type(fetch.apply_async(("u",)), AsyncResult[bytes])
    assert_type(await fetch.adelay("u"), AsyncResult[bytes])
    assert_type(await add.adelay(1), AsyncResult[str])
    assert_type(await add.aapply_async((1,)), AsyncResult[str])
    assert_type(await (await add.adelay(1)).aget(timeout=3), str)
    assert_type(await add.delay(1), str)


def bulk_and_by_name() -> None:
    assert_type(app.send_task("elsewhere", (1,), {"x": 2}, priority=3), AsyncResult[Any])
    add.apply_async((1,), unique="queued", on_duplicate="replace", unique_key="{0}")
    add.apply_async((1,), debounce=5, debounce_max_wait=timedelta(minutes=1))
    add.apply_async((1,), unique="no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    app.send_task("elsewhere", (1,), unique_for=60, unique_key=["x"])
    assert_type(app.send_many([add.s(1, 2), bound.s(3)]), list[AsyncResult[Any]])
    assert_type(signature("elsewhere", (1,)), Signature[Any])
    assert_type(signature(add, (1,)), Signature[str])
    assert_type(app.AsyncResult("id"), AsyncResult[Any])
    app.send_task("x", no_such=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


class ByClass(Task[[int, str], bool]):
    def run(self, x: int, y: str) -> bool:
        return bool(x)


def class_tasks() -> None:
    task = app.register_task(ByClass())
    assert_type(task.delay(1, "2"), AsyncResult[bool])
    assert_type(app.register_task(ByClass).delay(1, "2").get(), bool)
    task.delay(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@app.task
def total(values: list[str]) -> int:
    return len(values)


def workflows() -> None:
    assert_type(add.s(1) | bound.s(), chain[float])
    assert_type((add.s(1) | bound.s()).delay().get(), float)
    assert_type(add.s(1) | bound.s() | fetch.s(), chain[bytes])
    assert_type(chain(add.s(1), bound.s()), chain[float])
    assert_type(chain(add.s(1), bound.s(), fetch.s()).apply_async().get(), bytes)
    assert_type(chain(add.s(n) for n in range(3)), chain[Any])
    assert_type(group(add.s(1), add.s(2)), group[str])
    assert_type(group(add.s(n) for n in range(3)), group[str])
    assert_type(group([add.s(1)]).delay(), GroupResult[str])
    assert_type(group([add.s(1)])().get(), list[str])
    assert_type(add.s(1) | group(add.s(2), add.s(3)), chain[list[str]])
    assert_type(group(add.s(1), add.s(2)) | total.s(), chord[int])
    assert_type((group(add.s(1)) | total.s() | bound.s()).delay().get(), float)
    assert_type(chord([add.s(1)], total.s()), chord[int])
    assert_type(chord([add.s(1)], total.s()).delay().get(), int)
    assert_type(add.map([1, 2]), xmap[str])
    assert_type(fetch.map(["u"]).delay().get(), list[bytes])
    assert_type(add.starmap([(1, 2)]), xstarmap[str])
    assert_type(add.chunks([(1, 2)], 10), chunks[str])
    assert_type(add.chunks([(1, 2)], 10)().get(), list[list[str]])
    print(add.s(1) | "add")  # type: ignore[operator]  # pyright: ignore[reportOperatorIssue, reportUnknownArgumentType]
    group(add)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def workflows_awaited() -> None:
    assert_type(await (add.s(1) | bound.s()).adelay(), AsyncResult[float])
    assert_type(await (await group(add.s(1)).adelay()), list[str])
    assert_type(await group(add.s(1)).aapply_async((), countdown=1), GroupResult[str])
    assert_type(await (await chord([add.s(1)], total.s()).aapply_async()), int)
