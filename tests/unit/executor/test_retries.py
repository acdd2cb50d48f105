"""Retries of a running task (Celery semantics 13 to 17)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from recording_broker import NOW_MS, body_of, broker_of, make_executor, opened, request_for
from windlass import Task, Windlass
from windlass.errors import EncodeError, MaxRetriesExceededError, Retry
from windlass.runtime.outcome import Finished, Retried


def flaky(app: Windlass, **options: Any) -> Task[..., Any]:
    """Return a task that retries with the options it is called with."""

    @app.task(bind=True, name="flaky", **options)
    def flaky_(self: Any, retry: dict[str, Any], *args: Any) -> None:
        raise self.retry(**retry)

    return flaky_


# -- statement 13


def test_retry_keeps_the_id_and_queue_and_counts_up(app: Windlass, run: Any) -> None:
    ran = run(
        flaky(app),
        {},
        options={"queue": "q", "priority": 4, "headers": {"h": 1}, "expires": 9999},
    )

    message = ran.outcome.message
    assert isinstance(ran.outcome, Retried)
    assert (message.id, message.queue, message.priority) == (ran.sent.id, "q", 4)
    assert message.expires_at_ms == NOW_MS + 9_999_000
    headers = opened(message).headers
    assert (headers.retries, headers.headers) == (1, {"h": 1})
    assert body_of(message) == body_of(ran.sent)
    assert ran.state == "RETRY"
    assert broker_of(app).sent == []


def test_retry_of_a_retry_counts_on(app: Windlass, run: Any) -> None:
    ran = run(flaky(app), {})
    outcome = make_executor(app).execute(request_for(ran.outcome.message))

    assert isinstance(outcome, Retried)
    assert opened(outcome.message).headers.retries == 2


def test_retry_stores_the_exception_that_led_to_it(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise self.retry(exc=error) from error

    ran = run(work)

    assert isinstance(ran.meta.result, KeyError)
    assert "KeyError: 'a'" in ran.meta.traceback


def test_nothing_after_a_retry_runs(app: Windlass, run: Any) -> None:
    after: list[str] = []

    @app.task(bind=True)
    def work(self: Any) -> None:
        self.retry()
        after.append("never")

    assert isinstance(run(work).outcome, Retried)
    assert after == []


def test_throw_false_returns_the_retry_and_the_retry_happens(app: Windlass, run: Any) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def work(self: Any) -> str:
        seen.append(self.retry(throw=False, countdown=5))
        return "done"

    ran = run(work)

    assert isinstance(seen[0], Retry)
    assert isinstance(ran.outcome, Retried)
    assert ran.outcome.message.delay_ms == 5000


def test_retry_happens_also_when_the_exception_is_swallowed(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        try:
            self.retry()
        except Exception:
            raise ValueError("other") from None

    assert isinstance(run(work).outcome, Retried)


def test_retry_raised_by_hand_is_a_retry(app: Windlass, run: Any) -> None:
    @app.task
    def work() -> None:
        raise Retry("later", when=3)

    assert run(work).outcome.message.delay_ms == 3000


def test_ignored_results_store_no_retry_state(app: Windlass, run: Any) -> None:
    assert run(flaky(app, ignore_result=True), {}).outcome.result is None


@pytest.mark.parametrize(
    ("retry", "delay_ms"),
    [
        ({}, 180_000),
        ({"countdown": 0}, None),
        ({"countdown": 1.5}, 1500),
        ({"countdown": -1}, None),
    ],
)
def test_delay_is_the_countdown_else_the_default(
    app: Windlass, run: Any, retry: dict[str, Any], delay_ms: int | None
) -> None:
    assert run(flaky(app), retry).outcome.message.delay_ms == delay_ms


def test_eta_of_a_retry_is_absolute(app: Windlass, run: Any) -> None:
    at = datetime(2096, 1, 1, tzinfo=UTC)
    message = run(flaky(app), {"eta": at}).outcome.message

    assert (message.eta_ms, message.delay_ms) == (at.timestamp() * 1000, None)


def test_arguments_go_as_they_came_whatever_the_task_did_to_them(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    def work(self: Any, items: list[int]) -> None:
        items.append(9)
        raise self.retry()

    assert body_of(run(work, [1]).outcome.message)[0] == [[1]]


def test_other_arguments_and_options_of_a_retry(app: Windlass, run: Any) -> None:
    callback = app.task(name="callback")(lambda *args: None)
    retry = {
        "args": [{}, 2],
        "kwargs": {"k": 1},
        "queue": "slow",
        "priority": 9,
        "expires": 60,
        "time_limit": 5,
        "headers": {"n": 2},
        "shadow": "s",
    }
    options = {"link": callback.s(), "soft_time_limit": 3, "countdown": 1}
    message = run(flaky(app), retry, options=options).outcome.message

    headers = opened(message).headers
    args, kwargs, embed = body_of(message)
    assert (args, kwargs) == ([{}, 2], {"k": 1})
    assert embed["callbacks"][0]["task"] == "callback"
    assert (message.queue, message.priority, message.ttl_ms) == ("slow", 9, 60_000)
    assert (headers.timelimit, headers.headers, headers.shadow) == ((5, 3), {"n": 2}, "s")


def test_serializer_of_a_retry_encodes_the_arguments_anew(app: Windlass, run: Any) -> None:
    message = run(flaky(app), {"serializer": "msgpack"}, 1).outcome.message

    assert "msgpack" in opened(message).headers.content_type
    assert body_of(message)[0] == [{"serializer": "msgpack"}, 1]


@pytest.mark.parametrize("option", ["task_id", "cuntdown", "link"])
def test_option_that_a_retry_cannot_have_fails_the_task(
    app: Windlass, run: Any, option: str
) -> None:
    ran = run(flaky(app), {option: "x"})

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", TypeError)


def test_new_arguments_that_cannot_be_encoded_fail_the_task(app: Windlass, run: Any) -> None:
    @app.task(bind=True)
    def work(self: Any) -> None:
        self.retry(args=(object(),))

    ran = run(work)

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", EncodeError)


# -- statements 14 and 15


def executions(app: Windlass, task: Task[..., Any], run: Any, most: int = 10) -> tuple[int, Any]:
    """Run a task and its retries to the end; return how often it ran, and how it ended."""
    ran = run(task, {"countdown": 0})
    outcome, count = ran.outcome, 1
    executor = make_executor(app)
    while isinstance(outcome, Retried) and count < most:
        outcome = executor.execute(request_for(outcome.message))
        count += 1
    ran.outcome = outcome
    return count, ran


@pytest.mark.parametrize(("max_retries", "count"), [(3, 4), (0, 1), (None, 10)])
def test_max_retries_allows_one_more_run(
    app: Windlass, run: Any, max_retries: int | None, count: int
) -> None:
    assert executions(app, flaky(app, max_retries=max_retries), run)[0] == count


def test_used_up_retries_without_an_exception_end_in_max_retries_exceeded(
    app: Windlass, run: Any
) -> None:
    count, ran = executions(app, flaky(app, max_retries=1), run)

    assert (count, ran.state) == (2, "FAILURE")
    assert isinstance(ran.meta.result, MaxRetriesExceededError)
    assert "Can't retry flaky[" in str(ran.meta.result)


@pytest.mark.parametrize("by_argument", [True, False])
def test_used_up_retries_end_in_the_exception_itself(
    app: Windlass, run: Any, by_argument: bool
) -> None:
    @app.task(bind=True, max_retries=0)
    def work(self: Any) -> None:
        if by_argument:
            self.retry(exc=KeyError("a"))
        try:
            raise KeyError("a")
        except KeyError:
            self.retry()

    ran = run(work)

    assert (ran.state, type(ran.meta.result)) == ("FAILURE", KeyError)


def test_max_retries_of_one_call_counts_for_that_decision(app: Windlass, run: Any) -> None:
    assert isinstance(run(flaky(app), {"max_retries": 0}).outcome, Finished)
    more = flaky(app, max_retries=0)
    assert isinstance(run(more, {"max_retries": 1}).outcome, Retried)


# -- statement 16


def test_autoretry_for_retries_with_backoff(app: Windlass, run: Any) -> None:
    @app.task(
        autoretry_for=(OSError,),
        dont_autoretry_for=(BrokenPipeError,),
        retry_backoff=2,
        retry_jitter=False,
        max_retries=2,
    )
    def work(kind: str) -> None:
        raise {"os": OSError("o"), "pipe": BrokenPipeError(), "value": ValueError()}[kind]

    executor = make_executor(app)
    ran = run(work, "os")
    delays = []
    while isinstance(ran.outcome, Retried):
        delays.append(ran.outcome.message.delay_ms)
        assert ran.state == "RETRY"
        ran.outcome = executor.execute(request_for(ran.outcome.message))

    assert delays == [2000, 4000]
    assert (ran.state, type(ran.meta.result)) == ("FAILURE", OSError)
    assert run(work, "pipe").state == "FAILURE"
    assert run(work, "value").state == "FAILURE"


def test_autoretry_takes_retry_kwargs(app: Windlass, run: Any) -> None:
    @app.task(autoretry_for=ValueError, retry_kwargs={"countdown": 7, "max_retries": 1})
    def work() -> None:
        raise ValueError("v")

    ran = run(work)
    assert ran.outcome.message.delay_ms == 7000
    assert isinstance(make_executor(app).execute(request_for(ran.outcome.message)), Finished)


def test_autoretry_delay_defaults_to_default_retry_delay(app: Windlass, run: Any) -> None:
    @app.task(autoretry_for=(ValueError,), default_retry_delay=11)
    def work() -> None:
        raise ValueError("v")

    assert run(work).outcome.message.delay_ms == 11_000


def test_autoretry_covers_coroutines(app: Windlass, run: Any) -> None:
    @app.task(autoretry_for=(ValueError,), default_retry_delay=1)
    async def work() -> None:
        raise ValueError("v")

    assert isinstance(run(work).outcome, Retried)
