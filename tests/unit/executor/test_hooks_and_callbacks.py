"""Hooks and callbacks, and their order (Celery semantics 23, 33, 34)."""

from __future__ import annotations

from typing import Any

import pytest

from recording_broker import body_of, broker_of, opened
from windlass import Task, Windlass
from windlass.context import Context
from windlass.errors import EncodeError, Ignore, Retry
from windlass.hooks import ExceptionInfo
from windlass.runtime.outcome import Finished, Retried


class Told(Task[..., Any]):
    """Notes what its hooks are told."""

    seen: list[Any] = []

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.seen.append(("before_start", task_id, args))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.seen.append(("on_success", retval, task_id))

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo
    ) -> None:
        self.seen.append(("on_failure", exc, einfo))

    def on_retry(
        self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo
    ) -> None:
        self.seen.append(("on_retry", exc, einfo))

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        self.seen.append(("after_return", status, retval, einfo))


@pytest.fixture
def told() -> type[Told]:
    return type("Told", (Told,), {"seen": []})


def names(told: type[Told]) -> list[str]:
    return [each[0] for each in told.seen]


# -- statement 23


def test_hooks_of_a_success(app: Windlass, run: Any, told: type[Told]) -> None:
    ran = run(app.task(base=told)(lambda x: x + 1), 1)

    assert told.seen == [
        ("before_start", ran.sent.id, [1]),
        ("on_success", 2, ran.sent.id),
        ("after_return", "SUCCESS", 2, None),
    ]


def test_hooks_of_a_failure(app: Windlass, run: Any, told: type[Told]) -> None:
    run(app.task(base=told)(lambda: 1 // 0))
    _, (_, error, einfo), (_, status, retval, same) = told.seen

    assert names(told) == ["before_start", "on_failure", "after_return"]
    assert isinstance(error, ZeroDivisionError)
    assert error is einfo.exception
    assert "ZeroDivisionError" in str(einfo)
    assert (status, retval, same) == ("FAILURE", error, einfo)


def test_hooks_of_a_retry_leave_out_after_return(app: Windlass, run: Any, told: type[Told]) -> None:
    @app.task(base=told, bind=True)
    def work(self: Any) -> None:
        self.retry(exc=KeyError("a"))

    run(work)

    assert names(told) == ["before_start", "on_retry"]
    assert isinstance(told.seen[1][1], Retry)
    assert isinstance(told.seen[1][2].exception, KeyError)


def test_ignore_tells_no_hook(app: Windlass, run: Any, told: type[Told]) -> None:
    @app.task(base=told)
    def work() -> None:
        raise Ignore

    run(work)

    assert names(told) == ["before_start"]


def test_error_of_before_start_is_the_tasks_failure(app: Windlass, run: Any) -> None:
    class Early(Task[..., Any]):
        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            raise KeyError("early")

    ran = run(app.task(base=Early)(lambda: 1))

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", KeyError)


def test_error_of_another_hook_is_logged_and_changes_nothing(
    app: Windlass, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Late(Task[..., Any]):
        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            raise KeyError("late")

    ran = run(app.task(base=Late)(lambda: 1))

    assert ran.state == "SUCCESS"
    assert "task_hook_failed" in caplog.text


def test_hooks_can_be_given_as_options(app: Windlass, run: Any) -> None:
    seen: list[Any] = []

    def on_success(self: Any, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        seen.append((self, retval))

    task = app.task(on_success=on_success)(lambda: 5)
    run(task)

    assert seen == [(task, 5)]


def test_own_call_of_a_class_runs_around_the_task(app: Windlass, run: Any) -> None:
    class Around(Task[..., Any]):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return ["around", super().__call__(*args, **kwargs)]

    @app.task(base=Around, bind=True)
    def work(self: Any, x: int) -> Any:
        return [self.request.called_directly, x]

    assert run(work, 1).meta.result == ["around", [False, 1]]
    assert work(1) == ["around", [True, 1]]


# -- statement 33


def test_link_gets_the_result_first_and_goes_with_the_outcome(app: Windlass, run: Any) -> None:
    add = app.task(name="add")(lambda *args: sum(args))
    options = {"link": [add.s(10).set(queue="q"), add.si(7)], "root_id": "root"}
    ran = run(add, 1, 2, options=options)
    first, second = ran.outcome.followups

    assert body_of(first)[0] == [3, 10]
    assert body_of(second)[0] == [7]
    assert (first.queue, second.queue) == ("q", "default")
    headers = opened(first).headers
    assert (headers.root_id, headers.parent_id) == ("root", ran.sent.id)
    assert broker_of(app).sent == []


def test_link_of_an_unknown_task_is_sent_by_name(app: Windlass, run: Any) -> None:
    sig = app.signature("far.away", (1,))
    ran = run(app.task(lambda: 5), options={"link": sig})

    assert opened(ran.outcome.followups[0]).task == "far.away"


def test_nested_links_travel_on(app: Windlass, run: Any) -> None:
    add = app.task(name="add")(lambda *args: sum(args))
    second = add.s(2)
    second.link(add.s(3))
    ran = run(add, 1, options={"link": second})

    embed = body_of(ran.outcome.followups[0])[2]
    assert embed["callbacks"][0]["args"] == [3]


def test_failure_sends_no_callback_and_retry_sends_none(app: Windlass, run: Any) -> None:
    other = app.task(name="other")(lambda *args: None)
    failed = run(app.task(lambda: 1 // 0), options={"link": other.s()})
    retried = run(
        app.task(name="r", autoretry_for=(ZeroDivisionError,))(lambda: 1 // 0),
        options={"link": other.s(), "link_error": other.s()},
    )

    assert failed.outcome.followups == ()
    assert isinstance(retried.outcome, Retried)


def test_result_that_a_callback_cannot_take_fails_the_task(app: Windlass, run: Any) -> None:
    none = app.task(name="none")(lambda: None)
    ran = run(app.task(lambda: 1), options={"link": none.s()})

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", TypeError)


def test_result_that_a_callback_cannot_be_sent_fails_the_task(app: Windlass, run: Any) -> None:
    other = app.task(name="other")(lambda x: None)
    task = app.task(ignore_result=True)(lambda: object())
    ran = run(task, options={"link": other.s(), "ignore_result": False})

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", EncodeError)


# -- statement 34


def test_errback_with_several_parameters_is_called_inline(app: Windlass, run: Any) -> None:
    called: list[Any] = []

    @app.task
    def errback(request: Any, exc: Any, traceback: Any) -> None:
        called.append((request, exc, traceback))

    ran = run(app.task(lambda: 1 // 0), options={"link_error": errback.s()})
    ((request, exc, traceback),) = called

    assert isinstance(request, Context)
    assert request.id == ran.sent.id
    assert isinstance(exc, ZeroDivisionError)
    assert "ZeroDivisionError" in traceback
    assert ran.outcome.followups == ()


def test_errback_with_two_parameters_is_not_sent(
    app: Windlass, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    def errback(request: Any, exc: Any) -> None: ...

    ran = run(app.task(lambda: 1 // 0), options={"link_error": errback.s()})

    assert ran.outcome.followups == ()
    assert "3 were given" in caplog.text  # called as the three-parameter form it is not


def test_errback_with_one_parameter_is_sent_with_the_failed_id(app: Windlass, run: Any) -> None:
    @app.task(name="one")
    def one(task_id: str) -> None: ...

    ran = run(
        app.task(lambda: 1 // 0),
        options={"link_error": [one.s(), one.si("fixed"), app.signature("far.away")]},
    )

    assert [(opened(sent).task, body_of(sent)[0]) for sent in ran.outcome.followups] == [
        ("one", [ran.sent.id]),
        ("one", ["fixed"]),
        ("far.away", [ran.sent.id]),
    ]
    assert ran.outcome.state == "FAILURE"


def test_errback_that_fails_keeps_neither_the_others_nor_the_failure(
    app: Windlass, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(name="bad")
    def bad(request: Any, exc: Any, traceback: Any) -> None:
        raise RuntimeError("errback")

    @app.task(name="one")
    def one(task_id: str) -> None: ...

    ran = run(app.task(lambda: 1 // 0), options={"link_error": [bad.s(), one.s()]})

    assert isinstance(ran.outcome, Finished)
    assert isinstance(ran.meta.result, ZeroDivisionError)
    assert [opened(sent).task for sent in ran.outcome.followups] == ["one"]
    assert "task_hook_failed" in caplog.text
