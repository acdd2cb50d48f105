"""AsyncResult over a backend in memory: reading, waiting, forgetting, navigating."""

from __future__ import annotations

import asyncio
import builtins
import copy
import io
import pickle  # noqa: TID251 - handles travel between processes of the user
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from waiting import eventually
from windlass import Windlass, errors, states
from windlass.result import AsyncResult, result_from_tuple
from windlass.results import codec
from windlass.results.base import Extended
from windlass.results.codec import About
from windlass.results.memory import MemoryResults
from windlass.states import Stage

NOW_MS = 1_764_000_000_000


@pytest.fixture
def app() -> Windlass:
    return Windlass("results", set_as_current=False)


@pytest.fixture
def backend() -> MemoryResults:
    return MemoryResults()


class Results:
    """Makes handles and stores outcomes as a worker would."""

    def __init__(self, app: Windlass, backend: MemoryResults) -> None:
        self.app, self.backend = app, backend

    def handle(self, task_id: str = "t", **more: Any) -> AsyncResult[Any]:
        return AsyncResult(task_id, backend=self.backend, app=self.app, **more)

    def succeed(self, task_id: str = "t", value: Any = 42, **more: Any) -> None:
        raw = codec.encode_success(task_id, value, About(now_ms=NOW_MS, **more))
        self.backend.store_raw(task_id, raw, 0)

    def fail(self, task_id: str = "t", exc: BaseException | None = None) -> None:
        raw = codec.encode_failure(task_id, exc or ValueError("no"), "worker's tb", About())
        self.backend.store_raw(task_id, raw, 0)

    def set_state(self, state: str, meta: Any, task_id: str = "t") -> None:
        self.backend.store_raw(task_id, codec.encode_state(task_id, state, meta, About()), 0)

    def waiters(self) -> int:
        return len(self.backend._listeners)


@pytest.fixture
def results(app: Windlass, backend: MemoryResults) -> Results:
    return Results(app, backend)


# engine.md, statement 26


def test_26_an_unknown_id_is_pending_and_not_ready(results: Results) -> None:
    result = results.handle("never sent")

    assert (result.state, result.status, result.result) == ("PENDING", "PENDING", None)
    assert [result.ready(), result.successful(), result.failed(), result.exists()] == [False] * 4
    assert (result.traceback, result.children, result.date_done) == (None, None, None)


def test_26_a_forgotten_result_is_pending_again(results: Results) -> None:
    results.succeed()
    result = results.handle()
    assert result.get(timeout=0) == 42

    result.forget()

    assert (result.state, result.ready(), result.exists()) == ("PENDING", False, False)
    with pytest.raises(errors.TimeoutError):
        result.get(timeout=0)


@pytest.mark.parametrize("state", ["RETRY", "STARTED", "REJECTED", "PROGRESS"])
def test_26_states_in_between_are_not_ready(results: Results, state: str) -> None:
    results.set_state(state, {"at": 1})
    result = results.handle()

    assert (result.state, result.info) == (state, {"at": 1})
    assert not result.ready()


@pytest.mark.parametrize("state", ["SUCCESS", "FAILURE", "REVOKED"])
def test_26_success_failure_and_revoked_are_ready(results: Results, state: str) -> None:
    results.set_state(state, None)

    assert results.handle().ready()


def test_24_progress_changes_are_seen_until_the_end(results: Results) -> None:
    result = results.handle()
    seen = []
    for done in (1, 2):
        results.set_state("PROGRESS", {"done": done})
        seen.append(result.info)
    results.succeed()

    assert seen == [{"done": 1}, {"done": 2}]
    assert (result.state, result.info) == ("SUCCESS", 42)


# engine.md, statement 27


def test_27_get_raises_the_tasks_exception_with_the_workers_traceback(results: Results) -> None:
    results.fail(exc=KeyError("missing"))
    result = results.handle()

    with pytest.raises(KeyError, match="missing") as raised:
        result.get()

    assert result.traceback == "worker's tb"
    assert raised.value.__notes__ == ["Traceback of task t in the worker:\nworker's tb"]


def test_27_the_note_is_there_once_however_often_it_is_raised(results: Results) -> None:
    results.fail()
    result = results.handle()

    for _ in range(3):
        with pytest.raises(ValueError, match="no") as raised:
            result.get()

    assert len(raised.value.__notes__) == 1


def test_27_without_propagate_the_exception_is_returned(results: Results) -> None:
    results.fail()

    back = results.handle().get(propagate=False)

    assert type(back) is ValueError


def test_27_an_unknown_class_is_raised_as_an_exception_of_that_name(results: Results) -> None:
    class CardDeclinedError(Exception):
        pass

    results.fail(exc=CardDeclinedError("no", 3))

    with pytest.raises(Exception, match=r"\('no', 3\)") as raised:
        results.handle().get()

    assert type(raised.value).__name__ == "CardDeclinedError"


def test_27_a_timeout_is_windlass_and_builtin_and_leaves_no_waiter(results: Results) -> None:
    result = results.handle()

    with pytest.raises(errors.TimeoutError, match=r"Task t did not end within 0.01 s") as raised:
        result.get(timeout=0.01)

    assert isinstance(raised.value, builtins.TimeoutError)
    assert result.TimeoutError is errors.TimeoutError
    assert results.waiters() == 0


def test_a_revoked_task_raises_task_revoked_error(results: Results) -> None:
    results.backend.store_raw("t", codec.encode_revoked("t", "expired"), 0)

    with pytest.raises(errors.TaskRevokedError, match="expired"):
        results.handle().get()


def test_a_failure_that_is_no_exception_is_raised_as_a_task_error(results: Results) -> None:
    results.set_state("FAILURE", {"why": "by hand"})

    with pytest.raises(errors.TaskError, match="ended as FAILURE"):
        results.handle().get()


def test_get_waits_for_a_result_that_comes_later(results: Results) -> None:
    with ThreadPoolExecutor(1) as pool:
        value = pool.submit(results.handle().get, 20)
        eventually(lambda: results.waiters() == 1)
        results.set_state("STARTED", None)
        results.set_state("RETRY", None)
        assert not value.done()

        results.succeed()

        assert value.result() == 42


def test_a_result_is_read_from_the_backend_once(results: Results) -> None:
    results.succeed()
    result = results.handle()
    assert result.ready()

    results.backend.forget(["t"])

    assert (result.get(), result.state, result.successful()) == (42, "SUCCESS", True)


def test_callback_gets_id_and_value(results: Results) -> None:
    results.succeed()
    seen: list[Any] = []

    results.handle().get(callback=lambda *a: seen.append(a))

    assert seen == [("t", 42)]


def test_on_message_sees_progress_and_the_end(results: Results) -> None:
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


def test_on_interval_is_called_while_waiting(results: Results) -> None:
    def end() -> None:
        results.succeed()

    assert results.handle().get(timeout=20, interval=0.01, on_interval=end) == 42


def test_watching_ends_with_the_timeout(results: Results) -> None:
    with pytest.raises(errors.TimeoutError, match=r"within 0.02 s"):
        results.handle().get(timeout=0.02, interval=0.005, on_interval=lambda: None)


def test_follow_parents_raises_the_failure_of_a_parent(results: Results) -> None:
    root = results.handle("root")
    last = results.handle("last", parent=results.handle("middle", parent=root))
    results.fail("root", KeyError("root"))

    with pytest.raises(KeyError, match="root"):
        last.get(timeout=20)
    with pytest.raises(errors.TimeoutError):
        last.get(timeout=0, follow_parents=False)


def test_a_chain_waits_for_its_last_and_not_for_the_parents(results: Results) -> None:
    last = results.handle("last", parent=results.handle("root"))
    results.succeed("last", 7)

    assert last.get(timeout=0) == 7


# engine.md, statement 19


def test_19_the_handle_of_an_ignored_result_returns_none_at_once(results: Results) -> None:
    result = results.handle()
    result.ignored = True

    assert result.get() is None
    assert asyncio.run(result.aget()) is None


def test_reading_without_a_backend_says_that_results_are_off(app: Windlass) -> None:
    result: AsyncResult[Any] = AsyncResult("t", app=app)

    for question in (result.get, result.ready, lambda: result.state, result.forget):
        with pytest.raises(errors.BackendError, match="result of task t cannot be read"):
            question()


def test_a_result_of_a_refused_content_type_shows_its_state_and_not_its_value(
    results: Results,
) -> None:
    results.succeed(value={1}, serializer="pickle")
    result = results.handle()

    assert (result.state, result.ready()) == ("SUCCESS", True)
    with pytest.raises(errors.ContentDisallowed):
        result.get()


def test_49_result_accept_content_falls_back_to_accept_content(results: Results) -> None:
    results.succeed(value={1}, serializer="pickle")
    results.app.conf.accept_content = ["json", "pickle"]
    assert results.handle().get() == {1}

    results.app.conf.result_accept_content = ["json"]

    with pytest.raises(errors.ContentDisallowed):
        results.handle().get()


# engine.md, statement 29


def test_29_ids_and_equality(results: Results) -> None:
    result = results.handle("a")

    assert (result.id, result.task_id, str(result)) == ("a", "a", "a")
    assert repr(result) == "<AsyncResult: a>"
    assert result == results.handle("a") == "a"
    assert result != results.handle("b")
    assert result != 1
    assert len({result, results.handle("a")}) == 1


@pytest.mark.parametrize("bad", [None, 5, b"x"])
def test_29_an_id_is_a_string(app: Windlass, bad: Any) -> None:
    with pytest.raises(ValueError, match="AsyncResult needs a task's id"):
        AsyncResult(bad, app=app)


def test_29_extended_fields_are_there_with_result_extended_only(results: Results) -> None:
    results.succeed("plain")
    results.succeed(
        "extended",
        extended=Extended(name="n", args=[1], kwargs={"a": 2}, worker="w", retries=3, queue="q"),
    )
    plain, extended = results.handle("plain"), results.handle("extended")

    assert (plain.name, plain.args, plain.worker, plain.queue) == (None, None, None, None)
    assert (extended.name, extended.args, extended.kwargs) == ("n", [1], {"a": 2})
    assert (extended.worker, extended.retries, extended.queue) == ("w", 3, "q")
    assert plain.date_done == datetime.fromtimestamp(NOW_MS / 1000, UTC)


def test_29_failed_is_false_while_pending_and_true_for_failure_only(results: Results) -> None:
    assert not results.handle().failed()
    results.fail()
    assert results.handle().failed()
    results.set_state("REVOKED", None)
    assert not results.handle().failed()


def test_29_as_tuple_and_as_list_follow_the_parents(results: Results) -> None:
    last = results.handle("c", parent=results.handle("b", parent=results.handle("a")))

    assert last.as_list() == ["c", "b", "a"]
    assert last.as_tuple() == (("c", (("b", (("a", None), None)), None)), None)
    back = result_from_tuple(last.as_tuple(), results.app)
    assert back.as_list() == last.as_list()
    assert result_from_tuple("x", results.app).id == "x"
    assert result_from_tuple(last) is last


@pytest.fixture
def tree(results: Results) -> AsyncResult[Any]:
    results.succeed("root", 1, children=["a", "b"])
    results.succeed("a", 2, children=["aa"])
    results.succeed("b", 3)
    results.succeed("aa", 4)
    return results.handle("root")


def test_29_collect_yields_the_tree_breadth_first(tree: AsyncResult[Any]) -> None:
    assert [(r.id, v) for r, v in tree.collect()] == [("root", 1), ("a", 2), ("b", 3), ("aa", 4)]
    assert tree.get_leaf() == 4
    assert [(p and p.id, n.id) for p, n in tree.iterdeps()] == [
        (None, "root"),
        ("root", "a"),
        ("root", "b"),
        ("a", "aa"),
    ]


def test_29_iterdeps_refuses_a_tree_that_is_not_ready(
    results: Results, tree: AsyncResult[Any]
) -> None:
    results.backend.forget(["a"])

    with pytest.raises(errors.IncompleteStream, match="Task a has not ended"):
        list(tree.iterdeps())
    assert [n.id for _, n in tree.iterdeps(intermediate=True)] == ["root", "a", "b"]


def test_29_build_graph_gives_nodes_edges_and_dot(tree: AsyncResult[Any]) -> None:
    graph = tree.build_graph()
    dot = io.StringIO()
    graph.to_dot(dot)

    assert {str(node) for node in graph} == {"root", "a", "b", "aa"}
    assert [(p.id, c.id) for p, c in graph.edges()] == [("root", "a"), ("root", "b"), ("a", "aa")]
    assert graph.topsort()[0].id == "root"
    assert '"root" -> "a";' in dot.getvalue()
    assert tree in graph
    assert len(tree.graph) == 4


def test_29_maybe_throw_raises_or_returns_without_waiting(results: Results) -> None:
    result = results.handle()
    assert result.maybe_throw() is None
    results.fail()

    with pytest.raises(ValueError, match="no"):
        result.maybe_throw()
    assert type(result.maybe_reraise(propagate=False)) is ValueError


def test_29_then_is_called_at_once_or_when_the_outcome_is_first_seen(results: Results) -> None:
    seen: list[str] = []
    result = results.handle()

    assert result.then(lambda r: seen.append(f"1 {r.get()}")) is result
    assert seen == []
    results.succeed()
    assert result.ready()
    result.then(lambda r: seen.append(f"2 {r.state}"))

    assert result.ready()
    assert seen == ["1 42", "2 SUCCESS"]


def test_29_what_then_raises_goes_to_on_error(results: Results) -> None:
    seen: list[Any] = []
    results.succeed()

    results.handle().then(lambda r: 1 / 0, on_error=seen.append)

    assert isinstance(seen[0], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        results.handle().then(lambda r: 1 / 0)


def test_29_forget_removes_the_parents_too(results: Results) -> None:
    results.succeed("a")
    results.succeed("b")
    parent = results.handle("a")

    results.handle("b", parent=parent).forget()

    assert results.backend.get_many_raw(["a", "b"]) == [None, None]


def test_29_revoke_goes_to_the_apps_control(backend: MemoryResults) -> None:
    calls: list[Any] = []
    control = SimpleNamespace(revoke=lambda *a, **k: calls.append((a, k)))
    result: AsyncResult[Any] = AsyncResult("t", backend, app=SimpleNamespace(control=control))  # type: ignore[arg-type]

    result.revoke()
    result.revoke(terminate=True, signal="SIGKILL")

    assert calls == [
        (("t",), {"terminate": False, "signal": "SIGTERM"}),
        (("t",), {"terminate": True, "signal": "SIGKILL"}),
    ]


@pytest.mark.parametrize(
    ("on_the_broker", "ended", "stage"),
    [
        (Stage.QUEUED, False, Stage.QUEUED),
        (Stage.LEASED, False, Stage.LEASED),
        (Stage.UNKNOWN, False, Stage.UNKNOWN),
        (Stage.UNKNOWN, True, Stage.DONE),
    ],
)
def test_stage_tells_where_the_message_is(
    results: Results, on_the_broker: Stage, ended: bool, stage: Stage
) -> None:
    broker = SimpleNamespace(stage=lambda task_id: on_the_broker)
    app = SimpleNamespace(broker=broker, conf=results.app.conf, backend=results.backend)
    if ended:
        results.succeed()

    assert AsyncResult("t", app=app).stage is stage  # type: ignore[arg-type]


def test_a_handle_survives_copy_and_pickle(results: Results) -> None:
    result = results.handle("b", parent=results.handle("a"))

    assert copy.copy(result).as_list() == ["b", "a"]
    again = pickle.loads(pickle.dumps(result))
    assert again.as_list() == ["b", "a"]
    assert isinstance(again, AsyncResult)


# await


async def test_await_gives_the_value_that_comes_later(results: Results) -> None:
    async def value() -> Any:
        return await results.handle()

    waiting = asyncio.ensure_future(value())
    while not results.waiters():
        await asyncio.sleep(0)
    results.succeed()

    assert await waiting == 42


async def test_await_raises_the_tasks_exception_or_returns_it(results: Results) -> None:
    results.fail()

    with pytest.raises(ValueError, match="no"):
        await results.handle()
    assert type(await results.handle().aget(propagate=False)) is ValueError


async def test_await_times_out_and_leaves_no_waiter(results: Results) -> None:
    with pytest.raises(errors.TimeoutError, match=r"did not end within 0.01 s"):
        await results.handle(parent=results.handle("p")).aget(timeout=0.01)

    assert results.waiters() == 0


async def test_a_cancelled_await_leaves_no_waiter(results: Results) -> None:
    waiting = asyncio.ensure_future(results.handle(parent=results.handle("p")).aget())
    while results.waiters() < 2:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    while results.waiters():
        await asyncio.sleep(0)

    assert results.waiters() == 0


async def test_await_raises_the_failure_of_a_parent(results: Results) -> None:
    results.fail("p", KeyError("parent"))

    with pytest.raises(KeyError, match="parent"):
        await results.handle(parent=results.handle("p"))


def test_states_of_celerys_vocabulary_are_sets() -> None:
    assert {"SUCCESS", "FAILURE", "REVOKED"} == states.READY_STATES
