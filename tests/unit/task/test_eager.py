"""Running in the caller: apply() and task_always_eager (Celery semantics 42)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recording_broker import broker_of, recording_app
from windlass import Task, Windlass
from windlass.errors import EncodeError, Ignore, MaxRetriesExceededError, Reject
from windlass.results.eager_result import EagerResult
from windlass.states import FAILURE, IGNORED, REJECTED, SUCCESS


@pytest.fixture
def app() -> Windlass:
    return recording_app(task_always_eager=True)


def test_apply_async_runs_at_once_and_sends_nothing(app: Windlass) -> None:
    task = app.task(lambda x: x + 1)
    result = task.apply_async((1,), countdown=3600, eta=datetime(2099, 1, 1, tzinfo=UTC))

    assert isinstance(result, EagerResult)
    assert (result.state, result.get()) == (SUCCESS, 2)
    assert broker_of(app).sent == []


def test_exception_is_stored_in_the_handle_and_not_raised(app: Windlass) -> None:
    @app.task
    def fail() -> None:
        raise KeyError("a")

    result = fail.delay()

    assert result.state == FAILURE
    assert "KeyError: 'a'" in (result.traceback or "")
    with pytest.raises(KeyError):
        result.get()


def test_task_eager_propagates_and_throw_raise(app: Windlass) -> None:
    @app.task
    def fail() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        fail.apply(throw=True)
    app.conf.task_eager_propagates = True
    with pytest.raises(KeyError):
        fail.delay()
    assert fail.apply(throw=False).failed()


def test_arguments_and_results_go_through_the_serializer(app: Windlass) -> None:
    seen: list[Any] = []

    @app.task
    def echo(x: Any) -> Any:
        seen.append(x)
        return {1: (2, 3)}

    assert echo.delay((1, {2: "b"})).get() == {"1": [2, 3]}
    assert seen == [[1, {"2": "b"}]]


def test_argument_that_cannot_be_sent_fails_in_the_caller(app: Windlass) -> None:
    with pytest.raises(EncodeError, match=r"args\[0\]"):
        app.task(lambda x: x).delay(object())


def test_result_that_cannot_be_stored_fails_the_task(app: Windlass) -> None:
    result = app.task(lambda: object()).delay()

    assert result.state == FAILURE
    with pytest.raises(EncodeError):
        result.get()


def test_wrong_arguments_and_unknown_options_raise_in_the_caller(app: Windlass) -> None:
    task = app.task(lambda x: x)
    for args, options in (((), {}), ("ab", {}), ((1,), {"cuntdown": 1})):
        with pytest.raises(TypeError):
            task.apply_async(args, **options)


def test_retries_run_at_once_under_the_same_id(app: Windlass) -> None:
    seen: list[Any] = []

    @app.task(bind=True, max_retries=2)
    def flaky(self: Any, x: int) -> int:
        seen.append((self.request.id, self.request.retries, x))
        if self.request.retries < 2:
            raise self.retry(args=(x + 1,), countdown=3600)
        return x

    result = flaky.delay(1)

    assert (result.state, result.get()) == (SUCCESS, 3)
    assert seen == [(result.id, 0, 1), (result.id, 1, 2), (result.id, 2, 3)]


def test_retries_that_run_out_end_in_the_exception(app: Windlass) -> None:
    @app.task(bind=True, max_retries=1)
    def bare(self: Any) -> None:
        self.retry()

    @app.task(autoretry_for=(ValueError,), max_retries=2)
    def auto() -> None:
        runs.append(1)
        raise ValueError("v")

    runs: list[int] = []

    assert isinstance(bare.delay().result, MaxRetriesExceededError)
    assert isinstance(auto.delay().result, ValueError)
    assert len(runs) == 3


def test_request_says_eager_and_is_no_direct_call(app: Windlass) -> None:
    @app.task(bind=True)
    def look(self: Any, *args: Any, **kwargs: Any) -> Any:
        request = self.request
        return [request.is_eager, request.called_directly, request.headers, request.root_id]

    result = look.apply_async((1,), headers={"a": 1}, task_id="t1")

    assert result.id == "t1"
    assert result.get() == [True, False, {"a": 1}, "t1"]


def test_tree_is_kept_in_nested_eager_calls(app: Windlass) -> None:
    @app.task(bind=True)
    def inner(self: Any) -> Any:
        return [self.request.root_id, self.request.parent_id]

    @app.task
    def outer() -> Any:
        return inner.delay().get()

    result = outer.delay()

    assert result.get() == [result.id, result.id]


def test_links_run_here_too(app: Windlass) -> None:
    seen: list[Any] = []

    @app.task
    def note(*args: Any) -> None:
        seen.append(args)

    @app.task
    def one(x: Any) -> None:
        seen.append(("id", x))

    @app.task
    def work(fail: bool) -> int:
        if fail:
            raise ValueError("v")
        return 5

    work.apply_async((False,), link=note.s(1), link_error=note.si("no"))
    assert seen == [(5, 1)]
    seen.clear()
    result = work.apply_async((True,), link=note.s(1), link_error=[one.s(), note.s()])
    (first, second) = seen
    assert first == ("id", result.id)
    request, error, traceback = second
    assert (request.id, type(error), "ValueError" in traceback) == (result.id, ValueError, True)


def test_hooks_are_told(app: Windlass) -> None:
    seen: list[Any] = []

    class Told(Task[..., Any]):
        def before_start(self, task_id: Any, args: Any, kwargs: Any) -> None:
            seen.append(("before", args))

        def on_success(self, retval: Any, task_id: Any, args: Any, kwargs: Any) -> None:
            seen.append(("success", retval))

        def on_failure(self, exc: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any) -> None:
            seen.append(("failure", type(exc)))

        def after_return(
            self, status: Any, retval: Any, task_id: Any, args: Any, kwargs: Any, einfo: Any
        ) -> None:
            seen.append(("after", status))

    app.task(base=Told)(lambda x: 10 // x).delay(5)
    app.task(base=Told, name="fails")(lambda x: 10 // x).delay(0)

    assert seen == [
        ("before", [5]),
        ("success", 2),
        ("after", SUCCESS),
        ("before", [0]),
        ("failure", ZeroDivisionError),
        ("after", FAILURE),
    ]


def test_ignore_and_reject_end_it(app: Windlass) -> None:
    @app.task
    def end(error: str) -> None:
        raise {"i": Ignore(), "r": Reject("no")}[error]

    assert (end.delay("i").state, end.delay("r").state) == (IGNORED, REJECTED)


def test_replace_gives_the_other_tasks_result(app: Windlass) -> None:
    add = app.task(lambda x, y: x + y)

    @app.task(bind=True)
    def outer(self: Any) -> None:
        self.replace(add.s(1, 2))

    result = outer.delay()

    assert result.get() == 3


def test_update_state_is_allowed_and_stores_nothing(app: Windlass) -> None:
    @app.task(bind=True)
    def work(self: Any) -> int:
        self.update_state(state="PROGRESS", meta={"n": 1})
        return 1

    assert work.delay().get() == 1
    assert work() == 1
    assert broker_of(app).states == []


def test_coroutines_run_to_their_end(app: Windlass) -> None:
    @app.task(bind=True)
    async def work(self: Any, x: int) -> Any:
        return [x + 1, self.request.is_eager]

    assert work.delay(1).get() == [2, True]


async def test_coroutines_run_to_their_end_also_under_a_running_loop(app: Windlass) -> None:
    @app.task(bind=True)
    async def work(self: Any, x: int) -> Any:
        return [x + 1, self.request.is_eager]

    assert work.delay(1).get() == [2, True]
    assert await (await work.adelay(1)) == [2, True]
    assert (await work.asend_many([(1,)]))[0].get() == [2, True]


async def test_direct_call_of_a_coroutine_task_is_awaited(app: Windlass) -> None:
    @app.task(bind=True)
    async def work(self: Any) -> Any:
        return self.request.called_directly

    assert await work() is True


def test_bulk_runs_each(app: Windlass) -> None:
    add = app.task(lambda x, y: x + y)

    assert [result.get() for result in add.send_many([(1, 2), (3, 4)])] == [3, 7]


def test_waiting_inside_an_eager_task_is_allowed(app: Windlass) -> None:
    add = app.task(lambda x, y: x + y)
    assert app.task(lambda: add.delay(1, 2).get() + 1).delay().get() == 4


def test_store_eager_result_stores_it_in_the_backend() -> None:
    class Backend:
        stored: list[Any] = []

        def store_raw(self, task_id: str, payload: bytes, ttl_ms: int) -> None:
            self.stored.append((task_id, ttl_ms))

    app = recording_app(task_store_eager_result=True, task_always_eager=True)
    vars(app).update(_backend=Backend(), _backend_known=True)
    result = app.task(lambda: 1).delay()

    assert Backend.stored == [(result.id, 86_400_000)]
