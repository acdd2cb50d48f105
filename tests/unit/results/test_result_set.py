"""ResultSet over a backend in memory (engine.md, statement 30)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from waiting import eventually
from windlass import Windlass, errors
from windlass.result import AsyncResult, ResultSet
from windlass.results import codec
from windlass.results.codec import About
from windlass.results.memory import MemoryResults


class Counting(MemoryResults):
    """Counts round trips."""

    def __init__(self) -> None:
        super().__init__()
        self.trips = 0
        self.timeouts: list[float | None] = []

    def get_raw(self, task_id: str) -> bytes | None:
        self.trips += 1
        return super().get_raw(task_id)

    def get_many_raw(self, task_ids: Sequence[str]) -> list[bytes | None]:
        self.trips += 1
        return super().get_many_raw(task_ids)

    def wait_raw(
        self, task_ids: Sequence[str], timeout_s: float | None
    ) -> tuple[str, bytes] | None:
        self.trips += 1
        self.timeouts.append(timeout_s)
        return super().wait_raw(task_ids, timeout_s)

    def succeed(self, task_id: str, value: Any) -> None:
        self.store_raw(task_id, codec.encode_success(task_id, value, About()), 0)

    def fail(self, task_id: str, exc: Exception) -> None:
        self.store_raw(task_id, codec.encode_failure(task_id, exc, None, About()), 0)


@pytest.fixture
def backend() -> Counting:
    return Counting()


@pytest.fixture
def app() -> Windlass:
    return Windlass("results", set_as_current=False)


def make_set(app: Windlass, backend: Counting, *ids: str) -> ResultSet[Any]:
    return ResultSet([AsyncResult(i, backend=backend, app=app) for i in ids], app=app)


@pytest.fixture
def abc(app: Windlass, backend: Counting) -> ResultSet[Any]:
    return make_set(app, backend, "a", "b", "c")


def test_30_values_come_in_the_order_of_members(backend: Counting, abc: ResultSet[Any]) -> None:
    for task_id, value in (("c", 3), ("a", 1), ("b", 2)):
        backend.succeed(task_id, value)

    assert abc.get(timeout=0) == [1, 2, 3]
    assert abc.join() == [1, 2, 3]


def test_30_the_first_failure_in_order_is_raised(backend: Counting, abc: ResultSet[Any]) -> None:
    backend.fail("c", KeyError("third"))
    backend.fail("b", ValueError("second"))
    backend.succeed("a", 1)

    with pytest.raises(ValueError, match="second"):
        abc.get(timeout=0)
    with pytest.raises(ValueError, match="second"):
        abc.maybe_throw()


def test_30_without_propagate_values_and_exceptions_are_mixed(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    backend.succeed("a", 2)
    backend.fail("b", ValueError("x"))
    backend.succeed("c", 4)

    two, exc, four = abc.get(propagate=False)

    assert (two, four, type(exc)) == (2, 4, ValueError)


def test_30_completed_count_successful_failed_and_ready(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    backend.succeed("a", 1)
    backend.fail("b", ValueError())
    assert (abc.completed_count(), abc.successful(), abc.failed()) == (1, False, True)
    assert (abc.ready(), abc.waiting()) == (False, True)

    backend.succeed("c", 1)

    assert (abc.completed_count(), abc.successful(), abc.failed()) == (2, False, True)
    assert (abc.ready(), abc.waiting()) == (True, False)


def test_all_members_successful(backend: Counting, abc: ResultSet[Any]) -> None:
    for task_id in "abc":
        backend.succeed(task_id, 1)

    assert abc.successful()
    assert not abc.failed()


def test_get_waits_for_members_that_end_later(backend: Counting, abc: ResultSet[Any]) -> None:
    backend.succeed("b", 2)
    with ThreadPoolExecutor(1) as pool:
        values = pool.submit(abc.get, 20)
        eventually(lambda: "a" in backend._listeners)
        backend.succeed("c", 3)
        backend.succeed("a", 1)

        assert values.result() == [1, 2, 3]


def test_the_timeout_is_for_all_members_together(backend: Counting, abc: ResultSet[Any]) -> None:
    backend.succeed("a", 1)

    with pytest.raises(errors.TimeoutError, match="Task b did not end"):
        abc.get(timeout=0.01)
    with pytest.raises(errors.TimeoutError, match=r"2 of 3 tasks did not end within 0.01 s"):
        list(abc.iter_native(timeout=0.01))


def test_each_member_waits_for_what_is_left_of_the_timeout(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    with ThreadPoolExecutor(1) as pool:
        values = pool.submit(abc.get, 20)
        for task_id in "abc":
            eventually(lambda task_id=task_id: task_id in backend._listeners)
            backend.succeed(task_id, 1)
        values.result()

    first, second, third = (timeout or 0.0 for timeout in backend.timeouts)
    assert 20 >= first > second > third > 0


def test_ready_results_cost_a_round_trip_a_hundred(app: Windlass, backend: Counting) -> None:
    ids = [str(n) for n in range(250)]
    for task_id in ids:
        backend.succeed(task_id, int(task_id))

    assert make_set(app, backend, *ids).get() == list(range(250))
    assert backend.trips == 3


def test_iterate_gives_values_as_they_end(backend: Counting, abc: ResultSet[Any]) -> None:
    backend.succeed("c", 3)
    arriving = abc.iterate(timeout=20)
    assert next(arriving) == 3
    backend.succeed("a", 1)
    assert next(arriving) == 1
    backend.succeed("b", 2)

    assert list(arriving) == [2]


def test_iter_native_gives_ids_and_outcomes_failures_included(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    backend.fail("a", ValueError())
    backend.succeed("b", 2)
    backend.succeed("c", 3)

    outcomes = dict(abc.iter_native())

    assert {task_id: meta["status"] for task_id, meta in outcomes.items()} == {
        "a": "FAILURE",
        "b": "SUCCESS",
        "c": "SUCCESS",
    }


def test_iterate_raises_the_first_failure_or_yields_it(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    for task_id in "abc":
        backend.fail(task_id, ValueError(task_id))

    with pytest.raises(ValueError, match="a"):
        list(abc.iterate())
    assert [type(v) for v in abc.iterate(propagate=False)] == [ValueError] * 3


def test_a_callback_gets_ids_and_values(backend: Counting, abc: ResultSet[Any]) -> None:
    for task_id in "abc":
        backend.succeed(task_id, task_id.upper())
    seen: list[Any] = []

    assert abc.join(callback=lambda *a: seen.append(a)) == []
    assert seen == [("a", "A"), ("b", "B"), ("c", "C")]


def test_members_are_added_and_removed(app: Windlass, backend: Counting) -> None:
    members = make_set(app, backend, "a")
    b = AsyncResult("b", backend=backend, app=app)

    members.add(b)
    members.add(b)
    members.update([b, AsyncResult("c", backend=backend, app=app)])
    assert [r.id for r in members] == ["a", "b", "c"]
    members.remove("a")
    members.discard("a")
    members.discard(b)
    with pytest.raises(KeyError, match="a"):
        members.remove("a")

    assert (len(members), members[0].id, repr(members)) == (1, "c", "<ResultSet: [c]>")
    assert members == make_set(app, backend, "c")
    members.clear()
    assert list(members) == []


def test_an_empty_set_is_ready_and_gives_nothing(app: Windlass, backend: Counting) -> None:
    empty = make_set(app, backend)

    assert (empty.get(), empty.ready(), empty.successful(), empty.failed()) == (
        [],
        True,
        True,
        False,
    )
    assert backend.trips == 0


def test_then_is_called_once_all_are_ready(backend: Counting, abc: ResultSet[Any]) -> None:
    seen: list[Any] = []
    abc.then(seen.append)
    for task_id in "abc":
        assert seen == []
        backend.succeed(task_id, 1)
        abc.ready()

    assert seen == [abc]


def test_forget_removes_all(backend: Counting, abc: ResultSet[Any]) -> None:
    for task_id in "abc":
        backend.succeed(task_id, 1)

    abc.forget()

    assert backend.get_many_raw("abc") == [None] * 3


def test_revoke_takes_all_in_one_call(backend: Counting) -> None:
    calls: list[Any] = []
    control = SimpleNamespace(revoke=lambda *a, **k: calls.append((a, k)))
    app: Any = SimpleNamespace(control=control)

    make_set(app, backend, "a", "b").revoke(terminate=True)

    assert calls == [((["a", "b"],), {"terminate": True, "signal": "SIGTERM"})]


async def test_await_gives_the_values_in_order(backend: Counting, abc: ResultSet[Any]) -> None:
    for task_id in "cba":
        backend.succeed(task_id, task_id)

    assert await abc == ["a", "b", "c"]


async def test_await_raises_the_first_failure_and_leaves_no_waiter(
    backend: Counting, abc: ResultSet[Any]
) -> None:
    backend.fail("a", ValueError("a"))

    with pytest.raises(ValueError, match="a"):
        await abc

    assert backend._listeners == {}
    with pytest.raises(errors.TimeoutError):
        await abc.aget(timeout=0.01, propagate=False)


def test_eager_results_can_be_members(app: Windlass, backend: Counting) -> None:
    from windlass.result import EagerResult

    backend.succeed("a", 1)
    members = make_set(app, backend, "a")
    members.add(EagerResult("e", 2, "SUCCESS"))

    assert members.get() == [1, 2]
    assert {task_id for task_id, _ in members.iter_native()} == {"a", "e"}
