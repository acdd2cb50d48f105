"""Signals of messages: taken, refused, and what the engine itself could not do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from builders import make_message
from recording_broker import broker_of, make_executor, recording_app, request_for
from windlass import Windlass, signals
from windlass.errors import Reject, SerializationError
from windlass.messages import Headers
from windlass.runtime import classify
from windlass.runtime.outcome import Buried, Finished, Returned, Unknown
from windlass.signals import Signal

TOLD = ("task_received", "task_rejected", "task_internal_error", "task_prerun")
Told = list[tuple[str, Any, dict[str, Any]]]


@pytest.fixture
def told() -> Iterator[Told]:
    """What these signals said, as (name, sender, arguments)."""
    heard: Told = []

    def receiver(signal: Signal, sender: Any, **arguments: Any) -> None:
        heard.append((signal.name, sender, arguments))

    for name in TOLD:
        getattr(signals, name).connect(receiver)
    yield heard
    for name in TOLD:
        assert getattr(signals, name).disconnect(receiver)


def execute(app: Windlass, task: Any, *args: Any, later_ms: float = 0, **options: Any) -> Any:
    task.apply_async(args, **options)
    return make_executor(app, hostname="node").execute(
        request_for(broker_of(app).sent[-1], later_ms=later_ms)
    )


def test_message_is_received_before_its_task_runs(app: Windlass, told: Told) -> None:
    task = app.task(lambda x: x)
    execute(app, task, 1, task_id="t")

    assert [name for name, _, _ in told] == ["task_received", "task_prerun"]
    _, sender, arguments = told[0]
    assert sender == "node"
    request = arguments["request"]
    assert (request.id, request.task, request.args) == ("t", task.name, [1])


def test_what_will_not_run_is_not_received(app: Windlass, told: Told) -> None:
    task = app.task(lambda x: x)

    assert execute(app, task, 1, expires=1, later_ms=2000).state == "REVOKED"
    unknown = make_executor(app).execute(request_for(make_message("shop.unknown")))
    assert isinstance(unknown, Unknown)
    assert told == []


async def test_messages_on_an_event_loop_tell_too(app: Windlass, told: Told) -> None:
    @app.task
    async def work() -> None: ...

    work.delay()
    executor = make_executor(app)
    await executor.execute_async(request_for(broker_of(app).sent[-1]))
    await executor.execute_async(request_for(make_message(work.name, body=b"{")))

    assert [name for name, _, _ in told] == ["task_received", "task_prerun", "task_rejected"]


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"body": b"{"}, ""),
        ({"body": b"[" * 10_000}, "task_max_size_bytes"),
        ({"headers": Headers(content_type="text/x-evil")}, "text/x-evil"),
    ],
)
def test_bad_message_is_rejected(told: Told, message: dict[str, Any], problem: str) -> None:
    app = recording_app(task_max_size_bytes=2000)
    app.task(name="tests.noop")(lambda: None)
    request = request_for(make_message(**message))
    outcome = make_executor(app, hostname="node").execute(request)

    ((name, sender, arguments),) = told
    assert (name, sender) == ("task_rejected", "node")
    assert arguments["message"] is request
    assert isinstance(arguments["exc"], SerializationError)
    assert str(arguments["exc"]) == outcome.detail
    assert problem in outcome.detail


def test_bytes_that_are_no_message_are_rejected(app: Windlass, told: Told) -> None:
    request = request_for(make_message())
    request.raw = b"\x010nothing"

    assert isinstance(make_executor(app).execute(request), Buried)
    assert [name for name, _, _ in told] == ["task_rejected"]


def test_task_that_rejects_its_message_tells_unless_it_goes_back(app: Windlass, told: Told) -> None:
    @app.task
    def work(requeue: bool) -> None:
        raise Reject("no", requeue=requeue)

    assert isinstance(execute(app, work, False, task_id="t"), Buried)
    name, sender, arguments = told[-1]
    assert (name, sender, arguments["message"].id) == ("task_rejected", "node", "t")
    assert arguments["exc"].reason == "no"
    told.clear()
    assert isinstance(execute(app, work, True), Returned)
    assert "task_rejected" not in [name for name, _, _ in told]


def test_callback_that_cannot_be_sent_is_an_internal_error(
    app: Windlass, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = RuntimeError("no callback")

    def fails(*_: Any) -> Any:
        raise broken

    monkeypatch.setattr(classify.callbacks, "on_success", fails)
    task = app.task(lambda x: x)
    outcome = execute(app, task, 1, task_id="t", link=task.s())

    assert isinstance(outcome, Finished)
    assert outcome.state == "FAILURE"
    name, sender, arguments = told[-1]
    assert (name, sender) == ("task_internal_error", task)
    assert arguments.keys() == {
        "task_id",
        "args",
        "kwargs",
        "request",
        "exception",
        "traceback",
        "einfo",
    }
    assert (arguments["task_id"], arguments["args"], arguments["kwargs"]) == ("t", [1], {})
    assert arguments["exception"] is broken
    assert arguments["request"].id == "t"
    assert "no callback" in str(arguments["einfo"])


def test_failure_of_the_task_or_of_encoding_its_value_is_no_internal_error(
    app: Windlass, told: Told
) -> None:
    assert execute(app, app.task(name="a")(lambda: 1 // 0)).state == "FAILURE"
    assert execute(app, app.task(name="b")(lambda: object())).state == "FAILURE"

    assert "task_internal_error" not in [name for name, _, _ in told]


def test_error_in_deciding_the_end_is_told_and_ends_the_process(
    app: Windlass, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise RuntimeError("broken engine")

    monkeypatch.setattr(classify, "returned", fails)
    with pytest.raises(RuntimeError, match="broken engine"):
        execute(app, app.task(lambda: 1))

    assert [name for name, _, _ in told][-1] == "task_internal_error"


def test_receivers_that_raise_change_nothing(
    app: Windlass, caplog: pytest.LogCaptureFixture
) -> None:
    def receiver(**_: Any) -> None:
        raise RuntimeError("receiver")

    for name in TOLD[:2]:
        getattr(signals, name).connect(receiver)
    try:
        assert execute(app, app.task(name="a")(lambda: 1)).state == "SUCCESS"
        bad = request_for(make_message("a", body=b"{"))
        assert isinstance(make_executor(app).execute(bad), Buried)
    finally:
        for name in TOLD[:2]:
            getattr(signals, name).disconnect(receiver)
    assert caplog.text.count("task_hook_failed") == 2
