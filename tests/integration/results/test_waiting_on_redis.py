"""Waiting by push on a real Redis: what it costs, and what outages do to it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from builders import make_message
from redis_server import RedisServer
from waiting import aeventually, eventually
from windlass import Windlass, errors
from windlass.brokers.base import Done, FetchRequest, StoredResult
from windlass.results import codec
from windlass.results.codec import About

SOON = 20
OUTCOME = codec.encode_success("any", 42, About())


class Caller:
    """A caller of one server, and what happens on that server."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.app = Windlass("caller", broker=server.url, backend="redis://", set_as_current=False)
        assert self.app.backend is not None
        self.backend = self.app.backend
        self.pool = ThreadPoolExecutor(30)

    def close(self) -> None:
        self.pool.shutdown()
        self.app.close()

    def start_get(self, task_id: str, timeout: float | None = SOON) -> Future[Any]:
        """Wait in a thread, and return once the server knows of it."""
        before = self.channels()
        future = self.pool.submit(self.app.AsyncResult(task_id).get, timeout)
        eventually(lambda: self.channels() > before, message=f"{task_id} is waited for")
        return future

    def channels(self) -> int:
        return len(self.server.client().pubsub_channels())

    def subscribers(self) -> int:
        return sum(int(c["sub"]) > 0 for c in self.server.client().client_list())


@pytest.fixture
def caller(redis_server: RedisServer) -> Iterator[Caller]:
    caller = Caller(redis_server)
    yield caller
    caller.close()


@pytest.fixture
def durable(start_redis: Callable[..., RedisServer]) -> Iterator[Caller]:
    """On a server that keeps its data when it is killed."""
    caller = Caller(start_redis({"appendonly": "yes", "appendfsync": "always"}))
    yield caller
    caller.close()


def test_a_commit_of_a_worker_wakes_who_waits(caller: Caller) -> None:
    message = make_message()
    broker = caller.app.broker
    broker.enqueue([message])
    request = FetchRequest(worker_id="w", queues=("default",), want=1, lease_ms=60_000)
    _, fetched = broker.exchange([], request)
    assert fetched is not None
    (delivery,) = fetched.deliveries
    value = caller.start_get(message.id)

    result = StoredResult(payload=OUTCOME, ttl_ms=60_000)
    done = Done(id=message.id, queue="default", token=delivery.token, result=result)
    assert broker.exchange([done], None) == ([], None)

    assert value.result() == 42
    eventually(lambda: caller.channels() == 0)


def test_a_longer_wait_costs_no_more_commands(caller: Caller) -> None:
    def commands_of_a_wait(seconds: float) -> int:
        before = caller.server.commands_processed()
        with pytest.raises(errors.TimeoutError):
            caller.app.AsyncResult("never").get(timeout=seconds)
        eventually(lambda: caller.channels() == 0)
        # What this function itself asks of the server between the two counts.
        return caller.server.commands_processed() - before

    commands_of_a_wait(0.05)  # scripts and connections are made

    assert abs(commands_of_a_wait(1.2) - commands_of_a_wait(0.05)) <= 4


def test_threads_of_a_process_wait_on_one_connection(caller: Caller) -> None:
    ids = [f"t{n}" for n in range(20)]
    futures = [caller.start_get(task_id) for task_id in ids]

    assert caller.subscribers() == 1
    for task_id in ids:
        caller.backend.store_raw(task_id, codec.encode_success("", task_id, About()), 60_000)

    assert [future.result() for future in futures] == ids


async def test_event_loop_and_threads_wait_on_one_connection(caller: Caller) -> None:
    future = await asyncio.to_thread(caller.start_get, "t")
    awaits = [asyncio.ensure_future(caller.app.AsyncResult(f"a{n}").aget(SOON)) for n in range(5)]
    await aeventually(lambda: caller.channels() == 6)

    assert caller.subscribers() == 1
    for task_id in ("t", *(f"a{n}" for n in range(5))):
        await asyncio.to_thread(caller.backend.store_raw, task_id, OUTCOME, 60_000)

    assert await asyncio.gather(*awaits) == [42] * 5
    assert await asyncio.to_thread(future.result) == 42
    await caller.app.aclose()


def test_an_outcome_before_while_and_after_the_wait_begins_is_never_missed(caller: Caller) -> None:
    ids = [f"r{n}" for n in range(200)]

    def get_all() -> list[Any]:
        return [caller.app.AsyncResult(task_id).get(timeout=SOON) for task_id in ids]

    def store_all() -> None:
        for task_id in ids:
            caller.backend.store_raw(task_id, OUTCOME, 60_000)

    getting = [caller.pool.submit(get_all) for _ in range(3)]
    storing = caller.pool.submit(store_all)

    storing.result()
    assert [future.result() for future in getting] == [[42] * 200] * 3


def test_nothing_is_left_in_redis_by_waits_that_ended(caller: Caller) -> None:
    for _ in range(3):
        with pytest.raises(errors.TimeoutError):
            caller.app.AsyncResult("never").get(timeout=0.01)
    caller.backend.store_raw("t", OUTCOME, 60_000)
    caller.app.AsyncResult("t").get(timeout=SOON)
    caller.app.AsyncResult("t").forget()

    def only_expiring_registrations_are_left() -> bool:
        client = caller.server.client()
        return all(b"waiting" in key for key in client.keys("*"))

    eventually(only_expiring_registrations_are_left)


# Outages


def test_a_wait_survives_a_restart_of_redis(durable: Caller) -> None:
    value = durable.start_get("t", timeout=None)

    durable.server.restart()
    eventually(lambda: durable.channels() == 1, message="subscribed again")
    durable.backend.store_raw("t", OUTCOME, 60_000)

    assert value.result(SOON) == 42


def test_an_outcome_stored_while_the_waiter_is_cut_off_is_seen(durable: Caller) -> None:
    value = durable.start_get("t", timeout=None)
    key_holder = Windlass("other", broker=durable.server.url, backend="redis://")
    durable.server.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert key_holder.backend is not None
    key_holder.backend.store_raw("t", OUTCOME, 60_000)
    key_holder.close()

    assert value.result(SOON) == 42


def test_a_wait_that_begins_while_redis_is_away_ends_when_it_is_back(durable: Caller) -> None:
    durable.backend.store_raw("t", OUTCOME, 60_000)
    durable.server.kill()
    value = durable.pool.submit(durable.app.AsyncResult("t").get, SOON)
    durable.server.start()

    assert value.result(SOON) == 42


async def test_an_await_survives_a_restart_of_redis(durable: Caller) -> None:
    value = asyncio.ensure_future(durable.app.AsyncResult("t").aget(SOON))
    await aeventually(lambda: durable.channels() == 1)

    await asyncio.to_thread(durable.server.restart)
    await aeventually(lambda: durable.channels() == 1)
    await asyncio.to_thread(durable.backend.store_raw, "t", OUTCOME, 60_000)

    assert await value == 42
    await durable.app.aclose()


def test_the_timeout_holds_while_redis_is_away(durable: Caller) -> None:
    value = durable.start_get("t", timeout=0.3)
    durable.server.kill()

    with pytest.raises(errors.TimeoutError):
        value.result(SOON)


def test_the_timeout_holds_while_redis_hangs(durable: Caller) -> None:
    value = durable.start_get("t", timeout=0.3)
    durable.server.pause()
    try:
        with pytest.raises(errors.TimeoutError):
            value.result(SOON)
    finally:
        durable.server.resume()


def test_the_timeout_holds_when_the_wait_begins_while_redis_hangs(durable: Caller) -> None:
    durable.server.pause()
    try:
        with ThreadPoolExecutor() as pool:
            value = pool.submit(durable.app.AsyncResult("t").get, timeout=0.3)
            with pytest.raises(errors.TimeoutError):
                value.result(SOON)
    finally:
        durable.server.resume()


def test_reading_while_redis_is_away_is_an_operational_error(durable: Caller) -> None:
    durable.server.kill()

    for question in ("ready", "forget", "exists"):
        with pytest.raises(errors.OperationalError, match="cannot be reached"):
            getattr(durable.app.AsyncResult("t"), question)()


def test_a_forked_child_waits_on_a_connection_of_its_own(redis_server: RedisServer) -> None:
    script = """
        import os, sys
        from windlass import Windlass
        from windlass.results.codec import About, encode_success

        app = Windlass("forks", broker=sys.argv[1], backend="redis://")
        try:
            app.AsyncResult("never").get(timeout=0.05)  # the waiting thread runs
        except TimeoutError:
            pass
        child = os.fork()
        if not child:
            value = app.AsyncResult("for the child").get(timeout=20)
            os._exit(value)
        app.backend.store_raw("for the child", encode_success("", 7, About()), 60_000)
        _, status = os.waitpid(child, 0)
        app.backend.store_raw("for the parent", encode_success("", 8, About()), 60_000)
        print(os.waitstatus_to_exitcode(status), app.AsyncResult("for the parent").get(timeout=20))
        app.close()
    """
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), redis_server.url],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )

    assert (run.stdout, run.returncode) == ("7 8\n", 0), run.stderr
