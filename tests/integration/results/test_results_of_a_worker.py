"""Results as a caller sees them, with a real worker behind (engine.md, statements 5 and 26-31)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass, errors
from windlass.result import AsyncResult, ResultSet
from windlass.states import Stage

SOON = 20


@pytest.fixture(scope="module", autouse=True)
def worker(worker_of: Callable[..., None]) -> None:
    worker_of("-c", "2", WINDLASS_RESULT_MAX_SIZE_BYTES="50000", WINDLASS_RESULT_EXTENDED="true")


@pytest.fixture
def send(app: Windlass) -> Callable[..., AsyncResult[Any]]:
    return lambda name, *args, **options: app.send_task(f"result_tasks.{name}", args, **options)


Send = Callable[..., AsyncResult[Any]]


def test_get_gives_the_value(send: Send) -> None:
    result = send("echo", {"a": [1, None, "ä"]})

    assert result.get(timeout=SOON) == {"a": [1, None, "ä"]}
    assert (result.state, result.stage, result.ready()) == ("SUCCESS", Stage.DONE, True)


def test_5_typed_values_come_back_as_they_went(send: Send) -> None:
    assert send("typed").get(timeout=SOON) == {
        "when": datetime(2026, 11, 24, 6, tzinfo=UTC),
        "day": date(2026, 11, 24),
        "amount": Decimal("9.90"),
        "id": uuid.UUID(int=7),
        "raw": b"\xff",
        "pair": [1, 2],
    }


def test_5_typed_arguments_arrive_as_they_went(app: Windlass) -> None:
    sent = {"when": datetime(2026, 1, 2, tzinfo=UTC), "delta": timedelta(1), "pair": (1, 2)}

    result = app.send_task("result_tasks.kwargs_of", kwargs=sent)

    assert result.get(timeout=SOON) == {**sent, "pair": [1, 2]}


def test_26_an_unknown_id_is_pending_and_its_stage_unknown(app: Windlass) -> None:
    result = app.AsyncResult("never-sent")

    assert (result.state, result.stage, result.ready()) == ("PENDING", Stage.UNKNOWN, False)


def test_26_a_forgotten_result_is_pending_again(send: Send) -> None:
    result = send("echo", 1)
    result.get(timeout=SOON)

    result.forget()

    assert (result.state, result.stage) == ("PENDING", Stage.UNKNOWN)


def test_27_the_tasks_exception_is_raised_with_its_arguments(send: Send) -> None:
    result = send("fail", "key", "k", 2)

    with pytest.raises(KeyError) as raised:
        result.get(timeout=SOON)

    assert raised.value.args == ("k", 2)
    assert result.traceback is not None
    assert result.traceback.startswith("Traceback (most recent call last):")
    assert 'result_tasks.py", line' in result.traceback
    assert "KeyError: ('k', 2)" in result.traceback
    assert (result.state, result.failed(), result.successful()) == ("FAILURE", True, False)


def test_27_an_exception_of_a_module_that_is_not_loaded_here_has_its_name(send: Send) -> None:
    with pytest.raises(Exception, match="4711 was declined") as raised:
        send("decline").get(timeout=SOON)

    kind = type(raised.value)
    assert (kind.__name__, kind.__module__) == ("CardDeclinedError", "result_tasks")
    assert raised.value.args == ("4711 was declined", 51)


def test_27_the_exceptions_of_the_engine_are_our_own_classes(send: Send) -> None:
    with pytest.raises(errors.EncodeError, match=r"^value\['handle'\] is of type builtins.object"):
        send("unserialisable").get(timeout=SOON)
    with pytest.raises(errors.MessageTooLarge, match="result_max_size_bytes"):
        send("too_large").get(timeout=SOON)


def test_27_wrong_arguments_of_a_task_sent_by_name_are_a_type_error(send: Send) -> None:
    with pytest.raises(TypeError, match="echo"):
        send("echo").get(timeout=SOON)


@pytest.mark.parametrize("task", ["gets_inside", "awaits_inside"])
def test_28_waiting_inside_a_task_is_a_runtime_error(send: Send, task: str) -> None:
    inner = send("echo", 1)

    with pytest.raises(RuntimeError, match="Never call"):
        send(task, inner.id).get(timeout=SOON)


def test_28_it_may_be_allowed_by_name(send: Send) -> None:
    inner = send("echo", 1)

    assert send("gets_inside_allowed", inner.id).get(timeout=SOON) == [1]


def test_29_children_are_what_the_task_sent(send: Send) -> None:
    result = send("parent", 3)

    assert result.get(timeout=SOON) == "parent"
    assert result.children is not None
    assert [child.get(timeout=SOON) for child in result.children] == [0, 1, 2]
    assert [value for _, value in result.collect()] == ["parent", 0, 1, 2]


def test_29_extended_fields_say_what_ran_where(send: Send) -> None:
    result = send("echo", "x", queue="default")
    result.get(timeout=SOON)

    assert (result.name, result.args, result.kwargs) == ("result_tasks.echo", ["x"], {})
    assert (result.retries, result.queue) == (0, "default")
    assert result.worker
    assert result.date_done is not None
    assert abs(datetime.now(UTC) - result.date_done) < timedelta(minutes=1)


def test_24_progress_is_seen_and_then_the_result(send: Send, gates: Path) -> None:
    result = send("progress", "progress")
    eventually(lambda: result.state == "PROGRESS")
    assert (result.info, result.ready()) == ({"done": 1}, False)

    (gates / "progress").touch()

    assert result.get(timeout=SOON) == "done"


def test_24_progress_reaches_on_message(send: Send, gates: Path) -> None:
    seen = []

    def on_message(meta: dict[str, Any]) -> None:
        seen.append(meta["status"])
        (gates / "messages").touch()

    result = send("progress", "messages")
    result.get(timeout=SOON, interval=0.01, on_message=on_message)

    assert seen == ["PROGRESS", "SUCCESS"]


def test_18_an_ignored_outcome_leaves_the_state_that_the_task_set(send: Send) -> None:
    result = send("ignore_after_progress")

    eventually(lambda: result.stage is Stage.DONE)
    assert (result.state, result.info, result.ready()) == ("PROGRESS", {"done": 1}, False)


def test_started_and_retry_are_states_on_the_way(send: Send, gates: Path) -> None:
    started, retried = send("gated", "gate-1"), send("retry_once", "gate-2")
    eventually(lambda: started.state == "STARTED")
    eventually(lambda: retried.state == "RETRY")
    assert isinstance(retried.info, ValueError)
    assert not started.ready()
    assert not retried.ready()

    (gates / "gate-1").touch()
    (gates / "gate-2").touch()

    assert ResultSet([started, retried]).get(timeout=SOON) == ["gate-1", "second"]


def test_19_an_ignored_result_is_none_at_once_and_never_stored(
    app: Windlass, server: RedisServer
) -> None:
    @app.task(name="result_tasks.ignored", ignore_result=True)
    def ignored(value: int) -> int:
        return value

    result = ignored.delay(5)

    assert result.get() is None
    eventually(lambda: result.stage is Stage.UNKNOWN)
    assert (result.state, result.exists()) == ("PENDING", False)


def test_30_many_results_mix_values_and_exceptions(send: Send) -> None:
    results = ResultSet([send("echo", 2), send("fail", "value", "x"), send("echo", 4)])

    two, exc, four = results.get(timeout=SOON, propagate=False)

    assert (two, type(exc), four) == (2, ValueError, 4)
    assert (results.completed_count(), results.failed()) == (2, True)
    with pytest.raises(ValueError, match="x"):
        results.get()


def test_31_a_result_is_kept_for_result_expires(
    send: Send, app: Windlass, server: RedisServer
) -> None:
    result = send("echo", 1)
    result.get(timeout=SOON)
    client = server.client()

    ttls = [client.pttl(key) for key in client.keys("*") if result.id.encode() in key]

    assert len(ttls) == 1
    day_ms = 24 * 3600 * 1000
    assert day_ms - 60_000 < ttls[0] <= day_ms


def test_a_handle_made_from_an_id_alone_reads_the_result(send: Send, app: Windlass) -> None:
    result = send("echo", 7)

    assert app.AsyncResult(result.id).get(timeout=SOON) == 7
    assert AsyncResult(result.id, app=app).get(timeout=SOON) == 7


async def test_await_gives_values_and_raises_exceptions(app: Windlass) -> None:
    ok, bad = await asyncio.gather(
        app.asend_task("result_tasks.echo", [1]), app.asend_task("result_tasks.fail", ["key", 1])
    )
    async with asyncio.timeout(SOON):
        assert await ok == 1
        with pytest.raises(KeyError):
            await bad
        many = [await app.asend_task("result_tasks.echo", [n]) for n in range(20)]
        assert await ResultSet(many) == list(range(20))
    await app.aclose()


def test_revoking_a_scheduled_task_makes_its_result_revoked(send: Send) -> None:
    result = send("echo", 1, countdown=3600)
    eventually(lambda: result.stage is Stage.SCHEDULED)

    result.revoke()

    with pytest.raises(errors.TaskRevokedError):
        result.get(timeout=SOON)
    assert (result.state, result.stage) == ("REVOKED", Stage.DONE)
