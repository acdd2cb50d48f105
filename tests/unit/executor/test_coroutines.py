"""`async def` tasks in every pool, and soft limits inside of them (Celery semantics 20)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from recording_broker import make_executor, recording_app, request_for
from windlass import Task, Windlass, sending
from windlass.context import current_frame
from windlass.errors import SoftTimeLimitExceeded
from windlass.results import codec
from windlass.runtime.limits import AlarmLimit
from windlass.runtime.outcome import Finished, Retried


def value_of(outcome: Any) -> Any:
    assert isinstance(outcome, Finished)
    return codec.decode_meta("", outcome.result or b"", {"json"}).result


def request(app: Windlass, task: Task[..., Any], *args: Any, **options: Any) -> Any:
    return request_for(sending.build(app, task.name, task, args, {}, options))


@pytest.fixture
def app() -> Windlass:
    return recording_app()


def test_coroutine_runs_to_its_end_in_a_synchronous_pool(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    async def work(self: Any, x: int) -> Any:
        await asyncio.sleep(0)
        return [x, self.request.id]

    ran = run(work, 1)

    assert ran.meta.result == [1, ran.sent.id]


def test_loop_of_a_thread_is_kept_between_tasks(app: Windlass) -> None:
    loops = []

    @app.task
    async def work() -> None:
        loops.append(asyncio.get_running_loop())

    executor = make_executor(app)
    for _ in range(2):
        executor.execute(request(app, work))
    thread = threading.Thread(target=lambda: executor.execute(request(app, work)))
    thread.start()
    thread.join()
    executor.close()

    assert loops[0] is loops[1]
    assert loops[2] is not loops[0]
    assert all(loop.is_closed() for loop in loops)


def test_failure_of_a_coroutine_is_the_tasks(app: Windlass, run: Any) -> None:
    @app.task
    async def work() -> None:
        raise KeyError("a")

    assert isinstance(run(work).meta.result, KeyError)


def test_coroutine_that_cancels_itself_fails(app: Windlass, run: Any) -> None:
    @app.task
    async def work() -> None:
        raise asyncio.CancelledError

    assert run(work).outcome.state == "FAILURE"


# -- the asyncio pool


async def test_coroutines_share_one_loop_and_keep_their_requests_apart(app: Windlass) -> None:
    both = asyncio.Barrier(2)

    @app.task(bind=True)
    async def work(self: Any, x: int) -> Any:
        await both.wait()
        return [x, self.request.args]

    executor = make_executor(app)
    outcomes = await asyncio.gather(
        *(executor.execute_async(request(app, work, n)) for n in range(2))
    )

    assert [value_of(outcome) for outcome in outcomes] == [[0, [0]], [1, [1]]]
    assert current_frame() is None


async def test_call_leaves_the_context_as_it_was(app: Windlass, run: Any) -> None:
    async def work() -> None:
        sending.context.enter(coroutine, sending.context.Context())  # and never leaves

    coroutine = app.task(work)
    await make_executor(app).execute_async(request(app, coroutine))
    assert current_frame() is None
    run(app.task(name="plain")(lambda: sending.context.enter(coroutine, None) and None))
    assert current_frame() is None


async def test_plain_function_runs_in_a_thread(app: Windlass) -> None:
    @app.task(bind=True)
    def work(self: Any) -> Any:
        return [threading.current_thread() is threading.main_thread(), self.request.id is None]

    assert value_of(await make_executor(app).execute_async(request(app, work))) == [False, False]


async def test_retry_and_bad_messages_end_as_in_other_pools(app: Windlass) -> None:
    @app.task(bind=True)
    async def work(self: Any) -> None:
        raise self.retry(countdown=1)

    executor = make_executor(app)
    bad = request(app, work)
    bad.raw = b"\x010"

    assert isinstance(await executor.execute_async(request(app, work)), Retried)
    assert type(await executor.execute_async(bad)).__name__ == "Buried"


async def test_cancellation_from_outside_passes(app: Windlass) -> None:
    started = asyncio.Event()

    @app.task
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(make_executor(app).execute_async(request(app, work)))
    await started.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


# -- statement 20: the soft limit


async def test_soft_limit_is_raised_inside_the_await_and_can_be_caught(app: Windlass) -> None:
    @app.task(soft_time_limit=0.02)
    async def work() -> Any:
        try:
            await asyncio.Event().wait()
        except SoftTimeLimitExceeded as error:
            await asyncio.sleep(0.05)  # cleaning up is not interrupted again
            return ["cleaned", *error.args, asyncio.current_task().cancelling()]  # type: ignore[union-attr]

    outcome = await make_executor(app).execute_async(request(app, work))

    assert value_of(outcome) == ["cleaned", 0.02, 0]


async def test_soft_limit_that_is_not_caught_fails_the_task(app: Windlass) -> None:
    @app.task
    async def work() -> None:
        await asyncio.Event().wait()

    outcome = await make_executor(app).execute_async(request(app, work, soft_time_limit=0.02))

    assert isinstance(value_of(outcome), SoftTimeLimitExceeded)


async def test_soft_limit_does_not_touch_what_ends_in_time(app: Windlass) -> None:
    @app.task(soft_time_limit=30)
    async def work() -> Any:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        return await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2))

    assert value_of(await make_executor(app).execute_async(request(app, work))) == [1, 2]


async def test_soft_limit_reaches_through_task_groups(app: Windlass) -> None:
    ended: list[str] = []

    async def part() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("part")

    @app.task(soft_time_limit=0.02)
    async def work() -> Any:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(part())
        except* SoftTimeLimitExceeded:
            ended.append("limit")
        return ended

    assert value_of(await make_executor(app).execute_async(request(app, work))) == ["part", "limit"]


async def test_outside_cancellation_of_a_limited_task_passes(app: Windlass) -> None:
    started = asyncio.Event()

    @app.task(soft_time_limit=30)
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(make_executor(app).execute_async(request(app, work)))
    await started.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


def test_soft_limit_of_a_waiting_coroutine_in_a_synchronous_pool(app: Windlass, run: Any) -> None:
    @app.task(soft_time_limit=0.02)
    async def work() -> Any:
        try:
            await asyncio.Event().wait()
        except SoftTimeLimitExceeded:
            return "cleaned"

    assert run(work).meta.result == "cleaned"


def test_soft_limit_of_a_coroutine_that_does_not_wait(app: Windlass, run: Any) -> None:
    @app.task(soft_time_limit=0.02)
    async def work() -> Any:
        try:
            await asyncio.sleep(0)
            while True:
                time.monotonic()
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0.05)
            return "cleaned"

    assert run(work, executor={"soft_limit": AlarmLimit()}).meta.result == "cleaned"


def test_soft_limit_of_a_function_is_the_pools(app: Windlass, run: Any) -> None:
    armed: list[Any] = []

    @contextmanager
    def soft_limit(seconds: float) -> Iterator[None]:
        armed.append(seconds)
        yield
        armed.append("off")

    task = app.task(soft_time_limit=7)(lambda: None)
    run(task, executor={"soft_limit": soft_limit})
    run(task, executor={"soft_limit": soft_limit}, options={"soft_time_limit": 3})
    run(app.task(name="free")(lambda: None), executor={"soft_limit": soft_limit})

    assert armed == [7, "off", 3, "off"]


def test_soft_limit_raises_inside_a_function(app: Windlass, run: Any) -> None:
    @app.task(soft_time_limit=0.02)
    def work() -> str:
        try:
            while True:
                time.monotonic()
        except SoftTimeLimitExceeded:
            return "cleaned"

    assert run(work, executor={"soft_limit": AlarmLimit()}).meta.result == "cleaned"
