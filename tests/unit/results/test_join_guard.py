"""Waiting inside a task is refused (engine.md, statement 28)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from windlass import Windlass, context
from windlass.context import Context
from windlass.result import AsyncResult, ResultSet, allow_join_result, denied_join_result
from windlass.results import codec, guard
from windlass.results.codec import About
from windlass.results.memory import MemoryResults


@pytest.fixture
def result() -> AsyncResult[Any]:
    backend = MemoryResults()
    backend.store_raw("t", codec.encode_success("t", 42, About()), 0)
    return AsyncResult("t", backend=backend, app=Windlass("guard", set_as_current=False))


@contextmanager
def inside_a_task(**fields: Any) -> Iterator[None]:
    with context.pushed(object(), Context(id="outer", called_directly=False, **fields)):
        yield


def test_28_get_inside_a_task_is_a_runtime_error(result: AsyncResult[Any]) -> None:
    with inside_a_task(), pytest.raises(RuntimeError, match=r"Never call result.get\(\) within"):
        result.get()


def test_28_it_is_refused_even_when_the_result_is_there(result: AsyncResult[Any]) -> None:
    assert result.ready()

    with inside_a_task(), pytest.raises(RuntimeError):
        result.get()


@pytest.mark.parametrize("method", ["get", "join", "join_native"])
def test_28_a_result_set_is_refused_too(result: AsyncResult[Any], method: str) -> None:
    with inside_a_task(), pytest.raises(RuntimeError):
        getattr(ResultSet([result]), method)()


def test_28_iterating_a_set_is_refused_too(result: AsyncResult[Any]) -> None:
    with inside_a_task(), pytest.raises(RuntimeError):
        next(ResultSet([result]).iterate())


def test_28_allow_join_result_allows_it(result: AsyncResult[Any]) -> None:
    with inside_a_task(), allow_join_result():
        assert result.get() == 42
        assert ResultSet([result]).get() == [42]


def test_28_disable_sync_subtasks_false_allows_it(result: AsyncResult[Any]) -> None:
    with inside_a_task():
        assert result.get(disable_sync_subtasks=False) == 42


def test_28_it_is_refused_in_a_function_that_a_task_calls_directly(
    result: AsyncResult[Any],
) -> None:
    with (
        inside_a_task(),
        context.pushed(object(), Context()),
        pytest.raises(RuntimeError),
    ):
        result.get()


def test_outside_of_tasks_it_is_allowed_unless_denied(result: AsyncResult[Any]) -> None:
    assert result.get() == 42
    with denied_join_result(), pytest.raises(RuntimeError):
        result.get()
    assert result.get() == 42


def test_a_task_that_is_called_as_a_function_may_wait(result: AsyncResult[Any]) -> None:
    with context.pushed(object(), Context()):
        assert result.get() == 42


def test_an_eager_task_may_wait(result: AsyncResult[Any]) -> None:
    with inside_a_task(is_eager=True):
        assert result.get() == 42


def test_an_eager_task_inside_a_real_one_may_not_wait(result: AsyncResult[Any]) -> None:
    with inside_a_task(), inside_a_task(is_eager=True), pytest.raises(RuntimeError):
        result.get()


async def test_await_inside_a_task_is_refused_outside_the_asyncio_pool(
    result: AsyncResult[Any],
) -> None:
    with inside_a_task(), pytest.raises(RuntimeError, match="Never call await result within"):
        await result


def test_await_inside_a_task_is_allowed_in_the_asyncio_pool(result: AsyncResult[Any]) -> None:
    async def task() -> Any:
        with inside_a_task():
            value = await result
            with pytest.raises(RuntimeError, match=r"Never call result.get\(\)"):
                result.get()
            return value

    async def pool() -> Any:
        guard.allow_awaiting()
        return await asyncio.create_task(task())

    assert contextvars.Context().run(asyncio.run, pool()) == 42
