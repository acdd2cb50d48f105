"""How a run ends, as data: values, exceptions, control flow (Celery semantics 4, 5, 18, 19)."""

from __future__ import annotations

from typing import Any

import pytest

from recording_broker import NOW_MS, make_executor, recording_app, request_for
from windlass import Windlass, sending
from windlass.errors import EncodeError, Ignore, MessageTooLarge, Reject, TaskRevokedError
from windlass.results import codec
from windlass.runtime.outcome import Buried, Finished, Returned


def test_value_is_encoded_with_the_brokers_time(app: Windlass, run: Any) -> None:
    ran = run(app.task(lambda x: {"got": x}), (1, 2))

    assert ran.outcome.state == "SUCCESS"
    assert ran.meta.result == {"got": [1, 2]}
    assert ran.meta.date_done is not None
    assert abs(ran.meta.date_done.timestamp() * 1000 - NOW_MS) < 60_000


def test_exception_is_encoded_with_the_users_traceback(app: Windlass, run: Any) -> None:
    @app.task
    def fail(x: int) -> None:
        raise KeyError(x)

    ran = run(fail, 5)

    assert ran.outcome.state == "FAILURE"
    assert isinstance(ran.meta.result, KeyError)
    assert ran.meta.result.args == (5,)
    assert "raise KeyError(x)" in ran.meta.traceback
    assert "executor.py" not in ran.meta.traceback


def test_wrong_arguments_are_the_tasks_failure(app: Windlass, run: Any) -> None:
    ran = run(app.task(name="t")(_two), 1)

    assert (ran.outcome.state, type(ran.meta.result)) == ("FAILURE", TypeError)
    assert "missing 1 required positional argument: 'y'" in str(ran.meta.result)


def test_result_that_cannot_be_serialised_is_a_failure(app: Windlass, run: Any) -> None:
    ran = run(app.task(lambda: {"a": object()}))

    assert (ran.outcome.state, type(ran.meta.result)) == ("FAILURE", EncodeError)
    assert "value['a']" in str(ran.meta.result)


def test_result_over_the_cap_is_a_failure() -> None:
    app = recording_app(result_max_size_bytes=1024)
    task = app.task(lambda: "x" * 2000)
    outcome = make_executor(app).execute(
        request_for(sending.build(app, task.name, task, (), {}, {}))
    )

    assert isinstance(outcome, Finished)
    meta = codec.decode_meta("", outcome.result or b"", {"json"})
    assert (outcome.state, type(meta.result)) == ("FAILURE", MessageTooLarge)


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), MemoryError()])
def test_what_would_end_the_process_is_the_tasks_failure(
    app: Windlass, run: Any, error: BaseException
) -> None:
    @app.task
    def end() -> None:
        raise error

    assert run(end).outcome.state == "FAILURE"


def test_keyboard_interrupt_passes(app: Windlass, run: Any) -> None:
    @app.task
    def end() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(end)


def test_exception_whose_text_raises_is_still_a_failure(app: Windlass, run: Any) -> None:
    class NastyError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @app.task
    def end() -> None:
        raise NastyError(object())

    ran = run(end)

    assert (ran.outcome.state, "NastyError" in ran.meta.traceback) == ("FAILURE", True)


# -- statement 4


def test_expired_message_is_revoked_and_not_run(app: Windlass, run: Any) -> None:
    ran = run(app.task(_must_not_run), options={"expires": 5}, later_ms=5001)

    assert (ran.outcome.state, ran.state) == ("REVOKED", "REVOKED")
    assert isinstance(ran.meta.result, TaskRevokedError)
    assert ran.meta.result.args == ("expired",)


def test_expired_message_calls_no_errbacks(app: Windlass, run: Any) -> None:
    called: list[Any] = []
    errback = app.task(name="errback")(lambda *args: called.append(args))
    options = {"expires": 5, "link_error": [errback.s(), app.task(_one).s()]}
    ran = run(app.task(_must_not_run), options=options, later_ms=9000)

    assert (ran.outcome.followups, called) == ((), [])


def test_message_that_expires_later_runs(app: Windlass, run: Any) -> None:
    assert run(app.task(lambda: 1), options={"expires": 5}, later_ms=4000).state == "SUCCESS"


# -- statement 18


def test_ignore_ends_the_message_and_stores_nothing(app: Windlass, run: Any) -> None:
    @app.task
    def end() -> None:
        raise Ignore

    assert run(end).outcome == Finished("IGNORED")


def test_reject_with_requeue_hands_the_message_back(app: Windlass, run: Any) -> None:
    @app.task
    def end() -> None:
        raise Reject(requeue=True)

    assert run(end).outcome == Returned(counted=True)


def test_reject_without_requeue_is_a_dead_letter_and_a_failure(app: Windlass, run: Any) -> None:
    @app.task
    def end() -> None:
        raise Reject("bad order")

    ran = run(end)

    assert isinstance(ran.outcome, Buried)
    assert (ran.outcome.reason, ran.outcome.detail) == ("rejected", "'bad order'")
    assert (ran.state, type(ran.meta.result)) == ("FAILURE", Reject)


# -- statement 19


def test_ignored_result_stores_nothing(app: Windlass, run: Any) -> None:
    for task, options in (
        (app.task(ignore_result=True)(_one), {}),
        (app.task(name="call")(_one), {"ignore_result": True}),
    ):
        assert run(task, 1, options=options).outcome == Finished("SUCCESS")


def _is_unstored_failure(outcome: Any) -> bool:
    return outcome.state == "FAILURE" and outcome.result is None


def test_failure_of_an_ignored_task_is_stored_only_on_request(app: Windlass, run: Any) -> None:
    plain = app.task(name="plain", ignore_result=True)(_two)
    keeps = app.task(name="keeps", ignore_result=True, store_errors_even_if_ignored=True)(_two)

    assert _is_unstored_failure(run(plain).outcome)
    assert run(keeps).state == "FAILURE"
    assert run(keeps, options={"ignore_result": True}).state == "FAILURE"


def test_a_call_can_ask_for_the_result_of_an_ignored_task(app: Windlass, run: Any) -> None:
    task = app.task(ignore_result=True)(_one)

    assert run(task, 7, options={"ignore_result": False}).meta.result == 7


def test_setting_ignores_results_of_tasks_that_say_nothing() -> None:
    app = recording_app(task_ignore_result=True)
    executor = make_executor(app)
    ignored, kept = app.task(name="i")(_one), app.task(name="k", ignore_result=False)(_one)
    outcomes = [
        executor.execute(request_for(sending.build(app, task.name, task, (1,), {}, {})))
        for task in (ignored, kept)
    ]

    assert [isinstance(o, Finished) and o.result is not None for o in outcomes] == [False, True]


def test_without_a_backend_nothing_is_stored() -> None:
    app = recording_app(backend=None)
    task = app.task(_two)
    request = request_for(sending.build(app, task.name, task, (1,), {}, {}, checks=False))

    assert _is_unstored_failure(make_executor(app).execute(request))


def test_result_serializer_and_extended_fields() -> None:
    app = recording_app(result_serializer="pickle", result_extended=True)
    task = app.task(name="t")(_one)
    outcome = make_executor(app).execute(
        request_for(sending.build(app, "t", task, ((1, 2),), {}, {}))
    )

    assert isinstance(outcome, Finished)
    assert (outcome.result or b"")[:1] == b"p"
    meta = codec.decode_meta("x", outcome.result or b"", {"pickle"})
    assert (meta.name, meta.args, meta.kwargs, meta.worker, meta.retries, meta.queue) == (
        "t",
        [[1, 2]],
        {},
        "w1@host",
        0,
        "default",
    )


def test_what_a_task_sends_is_recorded_as_its_children(app: Windlass, run: Any) -> None:
    inner = app.task(name="inner")(_one)

    @app.task
    def outer() -> str:
        return inner.delay(1).id

    @app.task(trail=False)
    def silent() -> str:
        return inner.delay(1).id

    ran = run(outer, options={"parent_id": "p", "root_id": "r", "group_id": "g"})

    assert ran.meta.children == [[[ran.meta.result, None], None]]
    assert (ran.meta.parent_id, ran.meta.group_id) == ("p", "g")
    assert run(silent).meta.children == []


def _one(x: Any) -> Any:
    return x


def _two(x: Any, y: Any) -> Any:
    return x, y


def _must_not_run() -> None:
    raise AssertionError
