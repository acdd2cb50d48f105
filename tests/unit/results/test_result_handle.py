"""AsyncResult over a backend in memory: reading and waiting."""

from __future__ import annotations

import asyncio
import builtins
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from stored_results import StoredResults
from waiting import eventually
from windlass import errors, states
from windlass.result import AsyncResult
from windlass.results import codec

# engine.md, statement 26


def test_26_an_unknown_id_is_pending_and_not_ready(results: StoredResults) -> None:
    result = results.handle("never sent")

    assert (result.state, result.status, result.result) == ("PENDING", "PENDING", None)
    assert [result.ready(), result.successful(), result.failed(), result.exists()] == [False] * 4
    assert (result.traceback, result.children, result.date_done) == (None, None, None)


def test_26_a_forgotten_result_is_pending_again(results: StoredResults) -> None:
    results.succeed()
    result = results.handle()
    assert result.get(timeout=0) == 42

    result.forget()

    assert (result.state, result.ready(), result.exists()) == ("PENDING", False, False)
    with pytest.raises(errors.TimeoutError):
        result.get(timeout=0)


@pytest.mark.parametrize("state", ["RETRY", "STARTED", "REJECTED", "PROGRESS"])
def test_26_states_in_between_are_not_ready(results: StoredResults, state: str) -> None:
    results.set_state(state, {"at": 1})
    result = results.handle()

    assert (result.state, result.info) == (state, {"at": 1})
    assert not result.ready()


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_26_success_failure_and_revoked_are_ready(results: StoredResults, state: str) -> None:
    results.set_state(state, None)

    assert results.handle().ready()


def test_24_progress_changes_are_seen_until_the_end(results: StoredResults) -> None:
    result = results.handle()
    seen = []
    for done in (1, 2):
        results.set_state("PROGRESS", {"done": done})
        seen.append(result.info)
    results.succeed()

    assert seen == [{"done": 1}, {"done": 2}]
    assert (result.state, result.info) == ("SUCCESS", 42)


# engine.md, statement 27


def test_27_get_raises_the_tasks_exception_with_the_workers_traceback(
    results: StoredResults,
) -> None:
    results.fail(exc=KeyError("missing"))
    result = results.handle()

    with pytest.raises(KeyError, match="missing") as raised:
        result.get()

    assert result.traceback == "worker's tb"
    assert raised.value.__notes__ == ["Traceback of task t in the worker:\nworker's tb"]


def test_27_the_note_is_there_once_however_often_it_is_raised(results: StoredResults) -> None:
    results.fail()
    result = results.handle()

    for _ in range(3):
        with pytest.raises(ValueError, match="no") as raised:
            result.get()

    assert len(raised.value.__notes__) == 1


def test_27_without_propagate_the_exception_is_returned(results: StoredResults) -> None:
    results.fail()

    back = results.handle().get(propagate=False)

    assert type(back) is ValueError


def test_27_an_unknown_class_is_raised_as_an_exception_of_that_name(results: StoredResults) -> None:
    class CardDeclinedError(Exception):
        pass

    results.fail(exc=CardDeclinedError("no", 3))

    with pytest.raises(Exception, match=r"\('no', 3\)") as raised:
        results.handle().get()

    assert type(raised.value).__name__ == "CardDeclinedError"


def test_27_a_timeout_is_windlass_and_builtin_and_leaves_no_waiter(results: StoredResults) -> None:
    result = results.handle()

    with pytest.raises(errors.TimeoutError, match=r"Task t did not end within 0.01 s") as raised:
        result.get(timeout=0.01)

    assert isinstance(raised.value, builtins.TimeoutError)
    assert result.TimeoutError is errors.TimeoutError
    assert results.waiters() == 0


def test_a_revoked_task_raises_task_revoked_error(results: StoredResults) -> None:
    results.backend.store_raw("t", codec.encode_revoked("t", "expired"), 0)

    with pytest.raises(errors.TaskRevokedError, match="expired"):
        results.handle().get()


def test_a_failure_that_is_no_exception_is_raised_as_a_task_error(results: StoredResults) -> None:
    results.set_state("FAILURE", {"why": "by hand"})

    with pytest.raises(errors.TaskError, match="ended as FAILURE"):
        results.handle().get()


def test_get_waits_for_a_result_that_comes_later(results: StoredResults) -> None:
    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(results.handle().get, 20)
        eventually(lambda: results.waiters() == 1)
        results.set_state("STARTED", None)
        results.set_state("RETRY", None)
        assert not value.done()

        results.succeed()

        assert value.result() == 42


def test_a_result_is_read_from_the_backend_once(results: StoredResults) -> None:
    results.succeed()
    result = results.handle()
    assert result.ready()

    results.backend.forget(["t"])

    assert (result.get(), result.state, result.successful()) == (42, "SUCCESS", True)


def test_callback_gets_id_and_value(results: StoredResults) -> None:
    results.succeed()
    seen: list[Any] = []

    results.handle().get(callback=lambda *a: seen.append(a))

    assert seen == [("t", 42)]


def test_on_message_sees_progress_and_the_end(results: StoredResults) -> None:
    seen: list[Any] = []
    progress_seen, done = threading.Event(), threading.Event()

    def on_message(meta: dict[str, Any]) -> None:
        seen.append((meta["status"], meta["result"]))
        (done if meta["status"] == "SUCCESS" else progress_seen).set()

    results.set_state("PROGRESS", 1)
    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(results.handle().get, 20, interval=0.01, on_message=on_message)
        assert progress_seen.wait(20)
        results.succeed()
        assert value.result() == 42

    assert seen == [("PROGRESS", 1), ("SUCCESS", 42)]


def test_on_message_hears_of_a_state_once_however_often_it_is_looked_up(
    results: StoredResults,
) -> None:
    results.set_state("PROGRESS", 1)
    seen: list[str] = []
    intervals = iter(range(5))

    def on_interval() -> None:
        if next(intervals) == 4:
            results.succeed()

    results.handle().get(
        timeout=20,
        interval=0.001,
        on_interval=on_interval,
        on_message=lambda meta: seen.append(meta["status"]),
    )

    assert seen == ["PROGRESS", "SUCCESS"]


def test_on_interval_is_called_while_waiting(results: StoredResults) -> None:
    def end() -> None:
        results.succeed()

    assert results.handle().get(timeout=20, interval=0.01, on_interval=end) == 42


def test_watching_ends_with_the_timeout(results: StoredResults) -> None:
    with pytest.raises(errors.TimeoutError, match=r"within 0.02 s"):
        results.handle().get(timeout=0.02, interval=0.005, on_interval=lambda: None)


def test_follow_parents_raises_the_failure_of_a_parent(results: StoredResults) -> None:
    root = results.handle("root")
    last = results.handle("last", parent=results.handle("middle", parent=root))
    results.fail("root", KeyError("root"))

    with pytest.raises(KeyError, match="root"):
        last.get(timeout=20)
    with pytest.raises(errors.TimeoutError):
        last.get(timeout=0, follow_parents=False)


def test_a_chain_waits_for_its_last_and_not_for_the_parents(results: StoredResults) -> None:
    last = results.handle("last", parent=results.handle("root"))
    results.succeed("last", 7)

    assert last.get(timeout=0) == 7


# engine.md, statement 19


def test_19_the_handle_of_an_ignored_result_returns_none_at_once(results: StoredResults) -> None:
    result = results.handle()
    result.ignored = True

    assert result.get() is None
    assert asyncio.run(result.aget()) is None


def test_reading_without_a_backend_says_that_results_are_off(results: StoredResults) -> None:
    result: AsyncResult[Any] = AsyncResult("t", app=results.app)

    for question in (result.get, result.ready, lambda: result.state, result.forget):
        with pytest.raises(errors.BackendError, match="result of task t cannot be read"):
            question()


def test_a_result_of_a_refused_content_type_shows_its_state_and_not_its_value(
    results: StoredResults,
) -> None:
    results.succeed(value={1}, serializer="pickle")
    result = results.handle()

    assert (result.state, result.ready()) == ("SUCCESS", True)
    with pytest.raises(errors.ContentDisallowed):
        result.get()


def test_49_result_accept_content_falls_back_to_accept_content(results: StoredResults) -> None:
    results.succeed(value={1}, serializer="pickle")
    results.app.conf.accept_content = ["json", "pickle"]
    assert results.handle().get() == {1}

    results.app.conf.result_accept_content = ["json"]

    with pytest.raises(errors.ContentDisallowed):
        results.handle().get()


# In an event loop


async def test_await_gives_the_value_that_comes_later(results: StoredResults) -> None:
    async def value() -> Any:
        return await results.handle()

    waiting = asyncio.ensure_future(value())
    while not results.waiters():
        await asyncio.sleep(0)
    results.succeed()

    assert await waiting == 42


async def test_await_raises_the_tasks_exception_or_returns_it(results: StoredResults) -> None:
    results.fail()

    with pytest.raises(ValueError, match="no"):
        await results.handle()
    assert type(await results.handle().aget(propagate=False)) is ValueError


async def test_await_times_out_and_leaves_no_waiter(results: StoredResults) -> None:
    with pytest.raises(errors.TimeoutError, match=r"did not end within 0.01 s"):
        await results.handle(parent=results.handle("p")).aget(timeout=0.01)

    assert results.waiters() == 0


async def test_a_cancelled_await_leaves_no_waiter(results: StoredResults) -> None:
    waiting = asyncio.ensure_future(results.handle(parent=results.handle("p")).aget())
    while results.waiters() < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    while results.waiters():
        await asyncio.sleep(0)

    assert results.waiters() == 0


async def test_await_raises_the_failure_of_a_parent(results: StoredResults) -> None:
    results.fail("p", KeyError("parent"))

    with pytest.raises(KeyError, match="parent"):
        await results.handle(parent=results.handle("p"))


def test_states_of_celerys_vocabulary_are_sets() -> None:
    assert {"SUCCESS", "FAILURE", "REVOKED"} == states.READY_STATES
