"""What every result backend does: one suite, run on each implementation."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from redis_server import RedisServer
from result_samples import Sample, in_memory, on_redis, through_outbox
from waiting import aeventually, eventually
from windlass.errors import OperationalError
from windlass.results import codec
from windlass.results.base import ResultBackend
from windlass.results.codec import About

SOON = 20  # seconds: bounds a failing test, never slows a passing one


@pytest.fixture(scope="module")
def result_store() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(
    params=[
        in_memory,
        on_redis,
        partial(through_outbox, is_copied=False),
        partial(through_outbox, is_copied=True),
    ],
    ids=["memory", "redis", "outbox", "outbox-copied"],
)
def sample(request: pytest.FixtureRequest) -> Iterator[Sample]:
    make: Callable[[Any], Iterator[Sample]] = request.param
    yield from make(request)


@pytest.fixture
def backend(sample: Sample) -> ResultBackend:
    return sample.backend


def outcome(value: Any = 1) -> bytes:
    return codec.encode_success("any", value, About())


STARTED = codec.encode_state("any", "STARTED", None, About())
FINAL_STATES = ("SUCCESS", "FAILURE", "REVOKED")


def new_id() -> str:
    return str(uuid.uuid4())


def test_an_unknown_id_has_no_outcome(backend: ResultBackend) -> None:
    assert backend.get_raw(new_id()) is None
    assert backend.get_many_raw([]) == []


def test_a_stored_outcome_is_read_unchanged(backend: ResultBackend) -> None:
    payload = bytes(range(256)) * 4
    backend.store_raw("a", payload, 0)

    assert backend.get_raw("a") == payload


def test_the_newest_outcome_wins(backend: ResultBackend) -> None:
    backend.store_raw("a", STARTED, 60_000)
    backend.store_raw("a", outcome(), 60_000)

    assert backend.get_raw("a") == outcome()


def test_many_are_read_in_their_order_with_gaps(backend: ResultBackend) -> None:
    backend.store_raw("a", outcome("a"), 0)
    backend.store_raw("c", outcome("c"), 0)

    assert backend.get_many_raw(["c", "b", "a"]) == [outcome("c"), None, outcome("a")]


def test_an_outcome_is_gone_after_its_time_to_live(backend: ResultBackend) -> None:
    backend.store_raw("short", outcome(), 30)
    backend.store_raw("long", outcome(), 600_000)
    backend.store_raw("ever", outcome(), 0)

    eventually(lambda: backend.get_raw("short") is None)
    assert backend.get_many_raw(["long", "ever"]) == [outcome(), outcome()]


def test_a_longer_time_to_live_replaces_a_shorter_one(backend: ResultBackend) -> None:
    backend.store_raw("canary", outcome(), 60)
    backend.store_raw("a", outcome(), 50)
    backend.store_raw("a", outcome(), 0)

    eventually(lambda: backend.get_raw("canary") is None)
    assert backend.get_raw("a") == outcome()


def test_a_forgotten_outcome_is_gone_and_unknown_ids_are_no_error(backend: ResultBackend) -> None:
    backend.store_raw("a", outcome(), 0)
    backend.store_raw("b", outcome(), 0)

    backend.forget(["a", "never"])
    backend.forget([])

    assert backend.get_many_raw(["a", "b"]) == [None, outcome()]


def test_strange_ids_are_kept_apart(backend: ResultBackend) -> None:
    ids = ["a:b", "a b", "{x}", "ä", "", "a\nb", "x" * 300]
    for index, task_id in enumerate(ids):
        backend.store_raw(task_id, outcome(index), 0)

    assert backend.get_many_raw(ids) == [outcome(index) for index in range(len(ids))]


# Waiting


def test_waiting_gives_what_is_there_already(backend: ResultBackend) -> None:
    backend.store_raw("a", outcome(), 0)

    assert backend.wait_raw(["a"], SOON) == ("a", outcome())
    assert backend.wait_raw(["a"], 0) == ("a", outcome())
    assert backend.wait_raw(["a"], None) == ("a", outcome())


def test_of_what_is_there_already_the_first_in_order_is_given(backend: ResultBackend) -> None:
    backend.store_raw("c", outcome("c"), 0)
    backend.store_raw("b", outcome("b"), 0)

    assert backend.wait_raw(["a", "b", "c"], SOON) == ("b", outcome("b"))


def test_waiting_ends_after_its_time(sample: Sample) -> None:
    assert sample.backend.wait_raw(["never"], 0) is None
    assert sample.backend.wait_raw(["never", "ever"], 0.02) is None
    eventually(lambda: sample.waited_for() == 0)


def in_background(sample: Sample, ids: list[str], pool: ThreadPoolExecutor) -> Any:
    """Wait in a thread, and return once it does."""
    before = sample.waited_for()
    future = pool.submit(sample.backend.wait_raw, ids, SOON)
    eventually(lambda: sample.waited_for() > before)
    return future


def test_waiting_gives_what_arrives_meanwhile(sample: Sample) -> None:
    with ThreadPoolExecutor(1) as pool:
        found = in_background(sample, ["a", "b"], pool)
        sample.backend.store_raw("b", outcome("b"), 0)

        assert found.result() == ("b", outcome("b"))
    eventually(lambda: sample.waited_for() == 0)


def test_outcomes_that_are_not_final_do_not_end_a_wait(sample: Sample) -> None:
    sample.backend.store_raw("a", STARTED, 0)
    assert sample.backend.wait_raw(["a"], 0) is None
    with ThreadPoolExecutor(1) as pool:
        found = in_background(sample, ["a"], pool)
        sample.backend.store_raw("a", codec.encode_retry("a", None, None, About()), 0)
        sample.backend.store_raw("a", STARTED, 0)
        sample.backend.store_raw("a", outcome(), 0)

        assert found.result() == ("a", outcome())


@pytest.mark.parametrize("state", FINAL_STATES)
def test_every_final_state_ends_a_wait(sample: Sample, state: str) -> None:
    payload = codec.encode_state("a", state, None, About())
    with ThreadPoolExecutor(1) as pool:
        found = in_background(sample, ["a"], pool)
        sample.backend.store_raw("a", payload, 0)

        assert found.result() == ("a", payload)


def test_threads_that_wait_for_one_id_all_get_it(sample: Sample) -> None:
    with ThreadPoolExecutor(5) as pool:
        first = in_background(sample, ["a"], pool)
        others = [pool.submit(sample.backend.wait_raw, ["a"], SOON) for _ in range(4)]
        sample.backend.store_raw("a", outcome(), 0)

        assert [f.result() for f in (first, *others)] == [("a", outcome())] * 5


def test_a_thread_that_gives_up_takes_nothing_from_another(sample: Sample) -> None:
    with ThreadPoolExecutor(2) as pool:
        patient = in_background(sample, ["a"], pool)
        assert pool.submit(sample.backend.wait_raw, ["a"], 0.02).result() is None
        sample.backend.store_raw("a", outcome(), 0)

        assert patient.result() == ("a", outcome())


def test_threads_that_wait_for_different_ids_get_their_own(sample: Sample) -> None:
    ids = [new_id() for _ in range(20)]
    start = threading.Barrier(len(ids) + 1)

    def wait(task_id: str) -> Any:
        start.wait(SOON)
        return sample.backend.wait_raw([task_id], SOON)

    with ThreadPoolExecutor(len(ids)) as pool:
        found = [pool.submit(wait, task_id) for task_id in ids]
        start.wait(SOON)  # outcomes are stored while the waits begin: before, during and after
        for task_id in ids:
            sample.backend.store_raw(task_id, outcome(task_id), 0)

        assert [f.result() for f in found] == [(i, outcome(i)) for i in ids]


def test_waiting_for_many_ids_gives_each_once(sample: Sample) -> None:
    pending = [new_id() for _ in range(30)]
    everything = set(pending)
    seen = set()

    def store_all() -> None:
        for task_id in sorted(everything, reverse=True):
            sample.backend.store_raw(task_id, outcome(), 0)

    with ThreadPoolExecutor(1) as pool:
        storing = pool.submit(store_all)
        while pending:
            found = sample.backend.wait_raw(pending, SOON)
            assert found is not None
            pending.remove(found[0])
            seen.add(found[0])
        storing.result()

    assert seen == everything


def test_a_wait_after_forget_waits_for_a_new_outcome(sample: Sample) -> None:
    sample.backend.store_raw("a", outcome("old"), 0)
    sample.backend.forget(["a"])
    with ThreadPoolExecutor(1) as pool:
        found = in_background(sample, ["a"], pool)
        sample.backend.store_raw("a", outcome("new"), 0)

        assert found.result() == ("a", outcome("new"))


# The async twins


@pytest.fixture
async def loop_sample(sample: Sample) -> AsyncIterator[Sample]:
    yield sample
    await sample.close_loop()


async def test_reading_in_an_event_loop(loop_sample: Sample) -> None:
    backend = loop_sample.backend
    backend.store_raw("a", outcome(), 0)

    assert await backend.aget_raw("a") == outcome()
    assert await backend.aget_raw("b") is None


async def test_awaiting_what_is_there_already(loop_sample: Sample) -> None:
    backend = loop_sample.backend
    backend.store_raw("a", outcome(), 0)

    assert await backend.await_raw("a", SOON) == outcome()
    assert await backend.await_raw("a", 0) == outcome()
    assert await backend.await_raw("a", None) == outcome()


async def until(sample: Sample, count: int) -> None:
    async with asyncio.timeout(SOON):
        while sample.waited_for() != count:
            await asyncio.sleep(0.005)


async def test_awaiting_what_arrives_meanwhile(loop_sample: Sample) -> None:
    waits = [asyncio.ensure_future(loop_sample.backend.await_raw(i, SOON)) for i in "abc"]
    await until(loop_sample, 3)
    loop_sample.backend.store_raw("a", STARTED, 0)
    for task_id in "cba":
        await asyncio.to_thread(loop_sample.backend.store_raw, task_id, outcome(task_id), 0)

    assert await asyncio.gather(*waits) == [outcome("a"), outcome("b"), outcome("c")]
    await until(loop_sample, 0)


async def test_awaiting_ends_after_its_time(loop_sample: Sample) -> None:
    assert await loop_sample.backend.await_raw("never", 0) is None
    assert await loop_sample.backend.await_raw("never", 0.02) is None
    await until(loop_sample, 0)


async def test_a_cancelled_await_leaves_nothing_behind(loop_sample: Sample) -> None:
    wait = asyncio.ensure_future(loop_sample.backend.await_raw("a", SOON))
    await until(loop_sample, 1)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait

    await until(loop_sample, 0)


def test_event_loops_one_after_the_other_and_threads_share_a_backend(sample: Sample) -> None:
    async def wait() -> bytes | None:
        try:
            return await sample.backend.await_raw("a", SOON)
        finally:
            await sample.close_loop()

    with ThreadPoolExecutor(2) as pool:
        for value in (1, 2):
            sample.backend.forget(["a"])
            in_a_loop = pool.submit(asyncio.run, wait())
            eventually(lambda: sample.waited_for() == 1)
            in_a_thread = pool.submit(sample.backend.wait_raw, ["a"], SOON)
            sample.backend.store_raw("a", outcome(value), 0)

            assert in_a_loop.result() == outcome(value)
            assert in_a_thread.result() == ("a", outcome(value))


async def test_a_time_out_is_never_lost_at_whatever_moment_it_comes(loop_sample: Sample) -> None:
    async def give_up_often() -> None:
        for step in range(100):
            assert await loop_sample.backend.await_raw("never", 0.0005 + step * 0.00003) is None
            if step % 10 == 0:  # connecting is a moment too
                await loop_sample.close_loop()

    done, _ = await asyncio.wait([asyncio.ensure_future(give_up_often())], timeout=SOON)

    assert done
    done.pop().result()


def test_closing_is_repeatable(sample: Sample) -> None:
    sample.backend.store_raw("a", outcome(), 0)
    sample.backend.wait_raw(["b"], 0.01)

    sample.backend.close()
    sample.backend.close()


def test_closing_ends_a_wait_without_an_end_and_says_why(sample: Sample) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(sample.backend.wait_raw, ["a"], None)
        eventually(lambda: sample.waited_for() == 1)
        sample.backend.close()

        with pytest.raises(OperationalError, match="closed while a result was waited for"):
            future.result(SOON)


async def test_closing_ends_an_await_without_an_end_too(sample: Sample) -> None:
    waiting = asyncio.ensure_future(sample.backend.await_raw("a", None))
    await aeventually(lambda: sample.waited_for() == 1)
    await asyncio.to_thread(sample.backend.close)

    with pytest.raises(OperationalError, match="closed while a result was waited for"):
        await asyncio.wait_for(waiting, SOON)
    await sample.close_loop()
