"""AsyncResult over a backend in memory: Celery's whole API of it (engine.md, statement 29)."""

from __future__ import annotations

import copy
import io
import pickle  # noqa: TID251 - handles travel between processes of the user
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from stored_results import NOW_MS, StoredResults
from windlass import errors
from windlass.result import AsyncResult, result_from_tuple
from windlass.results.base import Extended
from windlass.states import Stage


def test_29_ids_and_equality(results: StoredResults) -> None:
    result = results.handle("a")

    assert (result.id, result.task_id, str(result)) == ("a", "a", "a")
    assert repr(result) == "<AsyncResult: a>"
    assert result == results.handle("a") == "a"
    assert result != results.handle("b")
    assert result != 1
    assert len({result, results.handle("a")}) == 1


@pytest.mark.parametrize("bad", [None, 5, b"x"])
def test_29_an_id_is_a_string(results: StoredResults, bad: Any) -> None:
    with pytest.raises(ValueError, match="AsyncResult needs a task's id"):
        AsyncResult(bad, app=results.app)


def test_29_extended_fields_are_there_with_result_extended_only(results: StoredResults) -> None:
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


def test_29_failed_is_false_while_pending_and_true_for_failure_only(results: StoredResults) -> None:
    assert not results.handle().failed()
    results.fail()
    assert results.handle().failed()
    results.set_state("REVOKED", None)
    assert not results.handle().failed()


def test_29_as_tuple_and_as_list_follow_the_parents(results: StoredResults) -> None:
    last = results.handle("c", parent=results.handle("b", parent=results.handle("a")))

    assert last.as_list() == ["c", "b", "a"]
    assert last.as_tuple() == (("c", (("b", (("a", None), None)), None)), None)
    back = result_from_tuple(last.as_tuple(), results.app)
    assert back.as_list() == last.as_list()
    assert result_from_tuple("x", results.app).id == "x"
    assert result_from_tuple(last) is last


@pytest.fixture
def tree(results: StoredResults) -> AsyncResult[Any]:
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
    results: StoredResults, tree: AsyncResult[Any]
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


def test_29_maybe_throw_raises_or_returns_without_waiting(results: StoredResults) -> None:
    result = results.handle()
    assert result.maybe_throw() is None
    results.fail()

    with pytest.raises(ValueError, match="no"):
        result.maybe_throw()
    assert type(result.maybe_reraise(propagate=False)) is ValueError


def test_29_then_is_called_at_once_or_when_the_outcome_is_first_seen(
    results: StoredResults,
) -> None:
    seen: list[str] = []
    result = results.handle()

    assert result.then(lambda r: seen.append(f"1 {r.get()}")) is result
    assert seen == []
    results.succeed()
    assert result.ready()
    result.then(lambda r: seen.append(f"2 {r.state}"))

    assert result.ready()
    assert seen == ["1 42", "2 SUCCESS"]


def test_29_what_then_raises_goes_to_on_error(results: StoredResults) -> None:
    seen: list[Any] = []
    results.succeed()

    results.handle().then(lambda r: 1 / 0, on_error=seen.append)

    assert isinstance(seen[0], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        results.handle().then(lambda r: 1 / 0)


def test_29_forget_removes_the_parents_too(results: StoredResults) -> None:
    results.succeed("a")
    results.succeed("b")
    parent = results.handle("a")

    results.handle("b", parent=parent).forget()

    assert results.backend.get_many_raw(["a", "b"]) == [None, None]


def test_29_revoke_goes_to_the_apps_control(results: StoredResults) -> None:
    calls: list[Any] = []
    control = SimpleNamespace(revoke=lambda *a, **k: calls.append((a, k)))
    result: AsyncResult[Any] = AsyncResult(
        "t", results.backend, app=SimpleNamespace(control=control)
    )  # type: ignore[arg-type]

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
    results: StoredResults, on_the_broker: Stage, ended: bool, stage: Stage
) -> None:
    broker = SimpleNamespace(stage=lambda task_id: on_the_broker)
    app = SimpleNamespace(broker=broker, conf=results.app.conf, backend=results.backend)
    if ended:
        results.succeed()

    assert AsyncResult("t", app=app).stage is stage  # type: ignore[arg-type]


def test_a_handle_survives_copy_and_pickle(results: StoredResults) -> None:
    result = results.handle("b", parent=results.handle("a"))

    assert copy.copy(result).as_list() == ["b", "a"]
    again = pickle.loads(pickle.dumps(result))
    assert again.as_list() == ["b", "a"]
    assert isinstance(again, AsyncResult)
