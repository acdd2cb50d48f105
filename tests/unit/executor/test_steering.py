"""What a running task may ask for: states, replacement; and what it may not (24, 25, 28)."""

from __future__ import annotations

from typing import Any

import pytest

from recording_broker import (
    NOW_MS,
    body_of,
    broker_of,
    make_executor,
    opened,
    recording_app,
    request_for,
)
from windlass import Windlass
from windlass.errors import Ignore
from windlass.result import allow_join_result
from windlass.results import codec
from windlass.runtime.outcome import Finished, Retried

# -- statement 24


def test_update_state_goes_through_the_broker_with_the_token(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        self.update_state(state="HALFWAY", meta={"n": (1, 2)})

    ran = run(work, options={"queue": "q"}, token=42)
    ((message_id, queue, token, stored),) = broker_of(app).states

    assert (message_id, queue, token, stored.ttl_ms) == (ran.sent.id, "q", 42, 86_400_000)
    meta = codec.decode_meta(message_id, stored.payload, {"json"})
    assert (meta.status, meta.result) == ("HALFWAY", {"n": [1, 2]})
    assert meta.date_done is not None
    assert abs(meta.date_done.timestamp() * 1000 - NOW_MS) < 60_000
    assert ran.state == "SUCCESS"


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_states_that_end_a_task_are_refused(app: Windlass, run: Any, state: str) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        self.update_state(state=state)

    ran = run(work)

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", ValueError)
    assert broker_of(app).states == []


def test_update_state_of_an_ignored_task_stores_nothing(app: Windlass, run: Any) -> None:
    @app.task(bind=True, ignore_result=True)
    def work(self: Any) -> None:
        self.update_state(state="HALFWAY")

    assert run(work).outcome == Finished("SUCCESS")
    assert broker_of(app).states == []


# -- statement 25


def test_replacement_takes_the_place_of_the_task(app: Windlass, run: Any) -> None:
    other = app.task(name="other", queue="far")(lambda *args: None)
    callback, errback = app.task(name="cb")(lambda x: x), app.task(name="eb")(lambda x: x)
    after: list[str] = []

    @app.task(bind=True)
    def work(self: Any) -> None:
        signature = other.s(1).set(priority=3)
        signature.link(callback.s("own"))
        self.replace(signature)
        after.append("never")

    ran = run(
        work,
        options={
            "link": callback.s("old"),
            "link_error": errback.s(),
            "root_id": "r",
            "parent_id": "p",
            "group_id": "g",
            "group_index": 2,
        },
    )
    message = ran.outcome.message

    assert isinstance(ran.outcome, Retried)
    assert (ran.outcome.result, after, broker_of(app).sent) == (None, [], [])
    assert (message.id, message.queue, message.priority) == (ran.sent.id, "far", 3)
    headers = opened(message).headers
    assert (headers.root_id, headers.parent_id, headers.group, headers.group_index) == (
        "r",
        "p",
        "g",
        2,
    )
    assert (headers.retries, headers.replaced_task_nesting) == (0, 1)
    args, _, embed = body_of(message)
    assert (opened(message).task, args) == ("other", [1])
    assert [linked["args"] for linked in embed["callbacks"]] == [["own"], ["old"]]
    assert [linked["task"] for linked in embed["errbacks"]] == ["eb"]


def test_replacement_without_parents_stays_a_root(app: Windlass, run: Any) -> None:
    other = app.task(name="other")(lambda: 5)

    @app.task(bind=True)
    def work(self: Any) -> None:
        self.replace(other.s())

    ran = run(work)
    outcome = make_executor(app).execute(request_for(ran.outcome.message))

    assert opened(ran.outcome.message).headers.root_id is None
    assert isinstance(outcome, Finished)
    assert codec.decode_meta("", outcome.result or b"", {"json"}).result == 5


def test_replacement_that_does_not_fit_fails_the_task(app: Windlass, run: Any) -> None:
    other = app.task(name="other")(lambda: None)

    @app.task(bind=True)
    def work(self: Any) -> None:
        self.replace(other.s(1))

    ran = run(work)

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", TypeError)


def test_direct_call_cannot_be_replaced(app: Windlass) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        self.replace(self.s())

    with pytest.raises(RuntimeError, match="needs a task that was sent"):
        work()


def test_replace_raises_ignore_inside_the_task(app: Windlass, run: Any) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def work(self: Any) -> None:
        try:
            self.replace(self.s())
        except Exception as error:
            seen.append(error)

    assert isinstance(run(work).outcome, Retried)
    assert isinstance(seen[0], Ignore)


# -- statement 28


def test_waiting_for_a_result_inside_a_task_is_refused(app: Windlass, run: Any) -> None:
    inner = app.task(name="inner")(lambda: None)
    ran = run(app.task(lambda: inner.delay().get(timeout=5)))

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", RuntimeError)
    assert "Never call result.get() within a task" in str(ran.meta.result)


def test_waiting_is_refused_in_what_a_task_calls_inline(app: Windlass, run: Any) -> None:
    inner = app.task(name="inner")(lambda: None)
    helper = app.task(name="helper")(lambda: inner.delay().get(timeout=5))
    ran = run(app.task(lambda: helper()))

    assert type(ran.meta.result) is RuntimeError


def test_waiting_is_allowed_by_name_and_after_the_task() -> None:
    app = recording_app()

    class Backend:
        def wait_raw(self, task_ids: Any, timeout_s: Any) -> Any:
            raise LookupError("waited")

        def get_many_raw(self, task_ids: Any) -> Any:
            return [None for _ in task_ids]

    vars(app).update(_backend=Backend(), _backend_known=True)
    inner = app.task(name="inner", ignore_result=False)(lambda: None)

    @app.task
    def work() -> None:
        with allow_join_result():
            inner.delay().get(timeout=5)

    from recording_broker import request_for as request
    from windlass import sending

    outcome = make_executor(app).execute(request(sending.build(app, work.name, work, (), {}, {})))
    assert isinstance(outcome, Finished)
    meta = codec.decode_meta("", outcome.result or b"", {"json"})
    assert isinstance(meta.result, LookupError)
    with pytest.raises(LookupError):
        inner.delay().get(timeout=5)
