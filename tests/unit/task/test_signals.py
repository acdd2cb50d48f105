"""Signals: who is told, of what, in which order (Celery semantics 23)."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recording_broker import body_of, broker_of, make_executor, opened, recording_app, request_for
from windlass import Task, Windlass, signals
from windlass.errors import Reject
from windlass.runtime.executor import Executor
from windlass.signals import Signal

TOLD = (
    "before_task_publish",
    "after_task_publish",
    "task_prerun",
    "task_postrun",
    "task_success",
    "task_failure",
    "task_retry",
    "task_revoked",
)


@pytest.fixture
def app() -> Windlass:
    return recording_app()


@pytest.fixture
def told() -> Iterator[list[tuple[str, Any, dict[str, Any]]]]:
    """Everything that any signal said, as (name, sender, arguments)."""
    heard: list[tuple[str, Any, dict[str, Any]]] = []

    def receiver(signal: Signal, sender: Any, **arguments: Any) -> None:
        heard.append((signal.name, sender, arguments))

    for name in TOLD:
        getattr(signals, name).connect(receiver)
    yield heard
    for name in TOLD:
        assert getattr(signals, name).disconnect(receiver)
        assert getattr(signals, name).connections == ()


def names(told: list[tuple[str, Any, dict[str, Any]]]) -> list[str]:
    return [name for name, _, _ in told]


@pytest.fixture
def execute(app: Windlass) -> Callable[..., Any]:
    """Send a task and run its message."""
    executor: Executor = make_executor(app)

    def run(task: Task[..., Any], *args: Any, later_ms: float = 0, **options: Any) -> Any:
        task.apply_async(args, **options)
        return executor.execute(request_for(broker_of(app).sent[-1], later_ms=later_ms))

    return run


def test_success_in_order(app: Windlass, execute: Any, told: Any) -> None:
    class Hooked(Task[..., Any]):
        def before_start(self, *args: Any) -> None:
            told.append(("before_start", None, {}))

        def on_success(self, *args: Any) -> None:
            told.append(("on_success", None, {}))

        def after_return(self, *args: Any) -> None:
            told.append(("after_return", None, {}))

    task = app.task(base=Hooked)(lambda x: x + 1)
    execute(task, 1, task_id="t")

    assert names(told) == [
        "before_task_publish",
        "after_task_publish",
        "task_prerun",
        "before_start",
        "on_success",
        "task_success",
        "after_return",
        "task_postrun",
    ]
    _, sender, arguments = told[2]
    assert (sender, arguments) == (
        task,
        {"task_id": "t", "task": task, "args": [1], "kwargs": {}},
    )
    assert told[5][2] == {"result": 2}
    assert (told[7][2]["retval"], told[7][2]["state"]) == (2, "SUCCESS")


def test_failure(app: Windlass, execute: Any, told: Any) -> None:
    task = app.task(lambda: 1 // 0)
    execute(task)
    (_, sender, failure), (_, _, postrun) = told[-2:]

    assert names(told)[2:] == ["task_prerun", "task_failure", "task_postrun"]
    assert sender is task
    assert isinstance(failure["exception"], ZeroDivisionError)
    assert "ZeroDivisionError" in str(failure["einfo"])
    assert (postrun["retval"], postrun["state"]) == (failure["exception"], "FAILURE")


def test_retry_rejection_and_expiry(app: Windlass, execute: Any, told: Any) -> None:
    @app.task(bind=True)
    def work(self: Any, error: bool) -> None:
        raise Reject("no") if error else self.retry(exc=KeyError("a"))

    execute(work, False)
    assert names(told)[3:] == ["task_retry", "task_postrun"]
    assert told[3][2]["request"].task == work.name
    assert isinstance(told[3][2]["reason"].exc, KeyError)
    assert told[4][2]["state"] == "RETRY"
    told.clear()
    execute(work, True)
    assert (names(told)[3:], told[3][2]["state"]) == (["task_postrun"], "REJECTED")
    told.clear()
    execute(work, True, expires=1, later_ms=2000)
    assert names(told)[2:] == ["task_revoked"]
    assert told[2][2]["expired"] is True


async def test_coroutines_tell_too(app: Windlass, told: Any) -> None:
    @app.task
    async def work() -> int:
        return 1

    await work.adelay()
    await make_executor(app).execute_async(request_for(broker_of(app).sent[-1]))

    assert names(told) == [
        "before_task_publish",
        "after_task_publish",
        "task_prerun",
        "task_success",
        "task_postrun",
    ]


def test_eager_runs_tell_too(app: Windlass, told: Any) -> None:
    @app.task(bind=True)
    def work(self: Any) -> int:
        if not self.request.retries:
            self.retry()
        return 1 // (self.request.retries - 1)

    work.apply()

    assert names(told) == [
        "task_prerun",
        "task_retry",
        "task_postrun",
        "task_prerun",
        "task_failure",
        "task_postrun",
    ]


def test_headers_can_be_added_before_a_task_is_published(app: Windlass) -> None:
    task = app.task(name="traced")(lambda x: x)

    def add_trace(headers: dict[str, Any], body: Any, **_: Any) -> None:
        headers["trace"] = body[0][0]

    signals.before_task_publish.connect(add_trace, sender="traced")
    try:
        task.apply_async((1,), headers={"own": True})
        task.send_many([(2,), (3,)])
        app.task(name="other")(lambda x: x).delay(4)
    finally:
        signals.before_task_publish.disconnect(add_trace, sender="traced")

    assert [opened(sent).headers.headers for sent in broker_of(app).sent] == [
        {"own": True, "trace": 1},
        {"trace": 2},
        {"trace": 3},
        None,
    ]
    assert [body_of(sent)[0] for sent in broker_of(app).sent] == [[1], [2], [3], [4]]


def test_receiver_that_raises_changes_nothing(
    app: Windlass, execute: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def receiver(**_: Any) -> None:
        raise RuntimeError("receiver")

    for signal in (signals.task_prerun, signals.task_success, signals.before_task_publish):
        signal.connect(receiver)
    try:
        assert execute(app.task(lambda: 1)).state == "SUCCESS"
    finally:
        for signal in (signals.task_prerun, signals.task_success, signals.before_task_publish):
            signal.disconnect(receiver)
    assert caplog.text.count("task_hook_failed") == 3


# -- connecting


def receiver(**arguments: Any) -> Any:
    return arguments.get("n")


def test_sender_filters_by_task_and_by_name(app: Windlass) -> None:
    signal = Signal("s")
    mine, other = app.task(name="mine")(lambda: 1), app.task(name="other")(lambda: 1)
    signal.connect(receiver, sender=mine)

    assert signal.send(mine, n=1) == [(receiver, 1)]
    assert signal.send("mine", n=2) == [(receiver, 2)]
    assert signal.send(other) == signal.send("other") == signal.send(None) == []


def test_connected_twice_is_told_once() -> None:
    signal = Signal("s")
    signal.connect(receiver)
    signal.connect(receiver)
    signal.connect(lambda **_: 1, weak=False, dispatch_uid="u")
    signal.connect(lambda **_: 2, weak=False, dispatch_uid="u")

    assert [answer for _, answer in signal.send(None, n=0)] == [0, 2]
    assert signal.disconnect(dispatch_uid="u")
    assert not signal.disconnect(dispatch_uid="u")
    assert len(signal.send(None)) == 1


def test_weak_receivers_are_forgotten_with_their_owner() -> None:
    class Owner:
        def hear(self, **_: Any) -> int:
            return 1

    signal = Signal("s")
    owner = Owner()
    signal.connect(owner.hear)

    assert [answer for _, answer in signal.send(None)] == [1]
    del owner
    gc.collect()
    assert signal.send(None) == []
    assert signal.connections == ()


def test_connect_is_a_decorator_with_and_without_arguments() -> None:
    signal = Signal("s")

    @signal.connect
    def plain(**_: Any) -> str:
        return "plain"

    @signal.connect(sender="x")
    def filtered(**_: Any) -> str:
        return "filtered"

    assert [answer for _, answer in signal.send("x")] == ["plain", "filtered"]
    assert [answer for _, answer in signal.send("y")] == ["plain"]


def test_error_of_a_receiver_is_its_answer() -> None:
    signal = Signal("s")
    signal.connect(lambda **_: 1 // 0, weak=False)

    ((_, answer),) = signal.send(None)
    assert isinstance(answer, ZeroDivisionError)
