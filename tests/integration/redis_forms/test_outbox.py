"""Results in another Redis: what happens when it is killed, paused, full or refuses, at each step.

The store is misused at every step of a copy; whatever happens, every outcome can be read at every
moment, is in the store in the end, and nothing of it stays on the broker.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.errors import BrokerError, OperationalError
from windlass.redis_store.connection import Links
from windlass.redis_store.outbox import Copier
from windlass.results import codec
from windlass.results.codec import About
from windlass.results.outbox import OutboxResults

SOON = 60  # seconds: bounds a failing test, never slows a passing one
BASE = b"windlass:{default}:"


@pytest.fixture
def store(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """Where results are kept; it keeps them over a crash."""
    return start_redis({"appendonly": "yes", "appendfsync": "always"})


@pytest.fixture
def shop(redis_server: RedisServer, store: RedisServer, open_shop: Callable[..., Any]) -> Any:
    return open_shop(
        broker_url=redis_server.url, result_backend=store.url,
        result_backend_transport_options={"socket_timeout": 1.0},
    )  # fmt: skip


@pytest.fixture
def results(shop: Any) -> OutboxResults:
    backend = shop.app.backend
    assert isinstance(backend, OutboxResults)
    return backend


def left_on(broker: RedisServer) -> tuple[int, int]:
    """How many outcomes the broker has, and how many ids its outbox names."""
    client = broker.client()
    return len(client.keys(BASE + b"r:*")), client.zcard(BASE + b"outbox")


def kept_in(store: RedisServer) -> int:
    return len(store.client().keys(BASE + b"kept:*"))


def outcome(value: object) -> bytes:
    return codec.encode_success("id", value, About())


def progress(value: object) -> bytes:
    return codec.encode_state("id", "PROGRESS", value, About())


def test_outcomes_are_copied_and_leave_the_broker(
    shop: Any, redis_server: RedisServer, store: RedisServer
) -> None:
    worker = shop.start_worker()
    sent = shop.send(50)

    assert [r.get(timeout=SOON) for r in sent] == [2 * n for n in range(50)]
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    assert kept_in(store) == 50
    again = [shop.app.AsyncResult(r.id) for r in sent]
    assert [r.get(timeout=SOON) for r in again] == [2 * n for n in range(50)]
    assert {r.state for r in again} == {"SUCCESS"}
    assert again[0].stage == "DONE"
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(SOON) == 0


@pytest.mark.parametrize("misfortune", ["killed", "paused", "full", "refuses"])
def test_a_store_that_is_away_holds_up_nothing_and_gets_everything_afterwards(
    shop: Any, redis_server: RedisServer, store: RedisServer, misfortune: str
) -> None:
    shop.start_worker()
    assert shop.send(1)[0].get(timeout=SOON) == 0
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    begin, end = _misfortunes(store)[misfortune]

    begin()
    sent = shop.send(20, first=1)
    values = [r.get(timeout=SOON) for r in sent]  # the task's end is told by the broker
    eventually(lambda: "results_not_copied" in shop.log(), SOON)
    read_again = [shop.app.AsyncResult(r.id).get(timeout=SOON) for r in sent]
    pending = left_on(redis_server)
    end()

    assert values == read_again == [2 * n for n in range(1, 21)]
    assert pending == (20, 20)
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    assert kept_in(store) == 21
    assert sorted(shop.runs()) == sorted({*shop.runs()}), "each ran once"


def _misfortunes(store: RedisServer) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    def set_config(name: str, value: str) -> Callable[[], Any]:
        return lambda: store.client().config_set(name, value)

    def lock() -> None:
        client = store.client()
        client.config_set("requirepass", "secret")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def unlock() -> None:
        store.client(password="secret").config_set("requirepass", "")

    return {
        "killed": (store.kill, store.start),
        "paused": (store.pause, store.resume),
        "full": (set_config("maxmemory", "1"), set_config("maxmemory", "0")),
        "refuses": (lock, unlock),
    }


def test_waiting_goes_on_while_the_store_is_away_and_ends_when_it_is_back(
    shop: Any, redis_server: RedisServer, store: RedisServer
) -> None:
    """The one case that needs the store: its outcome was copied, and it is away now."""
    shop.start_worker()
    result = shop.send(1)[0]
    assert result.get(timeout=SOON) == 0
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    store.kill()
    found: list[Any] = []
    again = shop.app.AsyncResult(result.id)
    waiter = threading.Thread(target=lambda: found.append(again.get(timeout=SOON)))

    with pytest.raises(OperationalError, match=r"The result backend at .* cannot be reached"):
        _ = again.state
    waiter.start()
    store.start()

    waiter.join(SOON)
    assert found == [0]


async def test_async_waits_read_both(
    shop: Any, redis_server: RedisServer, store: RedisServer
) -> None:
    shop.start_worker()
    result = shop.send(1, first=21)[0]
    assert await result.aget(timeout=SOON) == 42
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    assert await shop.app.AsyncResult(result.id).aget(timeout=SOON) == 42
    store.kill()
    held = shop.hold("store-away")
    waiting = asyncio.create_task(held.aget(timeout=SOON))
    shop.go("store-away")

    assert await waiting == "store-away"
    await shop.app.aclose()


def test_what_a_lost_worker_left_behind_is_copied_by_the_next(
    shop: Any, redis_server: RedisServer, store: RedisServer
) -> None:
    store.kill()
    worker = shop.start_worker()
    sent = shop.send(5)
    assert [r.get(timeout=SOON) for r in sent] == [0, 2, 4, 6, 8]
    worker.kill()
    worker.wait()
    store.start()
    assert left_on(redis_server) == (5, 5)

    shop.start_worker()

    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    assert kept_in(store) == 5


# -- each step of a copy ------------------------------------------------------------------------


class Stumbling(Links):
    """Connections that fail at a given call: before it is sent, or when its answer is lost."""

    def __init__(self, url: str, *, fail_at: int, answer_lost: bool) -> None:
        super().__init__(url, options={"socket_timeout": 1.0})
        self.calls, self._fail_at, self._answer_lost = 0, fail_at, answer_lost

    def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Any]:
        self.calls += 1
        if self.calls != self._fail_at:
            return super().try_call(commands, within_s)
        if self._answer_lost:
            super().try_call(commands, within_s)
        raise OperationalError("lost")


@pytest.mark.parametrize("answer_lost", [False, True], ids=["not sent", "answer lost"])
@pytest.mark.parametrize("where", ["broker 1", "broker 2", "broker 3", "broker 4", "store 1"])
def test_a_copier_that_dies_at_any_step_leaves_it_to_the_next(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer, where: str,
    answer_lost: bool,
) -> None:  # fmt: skip
    for n in range(3):
        results.store_raw(f"id-{n}", outcome(n), 60_000)
    role, _, at = where.partition(" ")
    step = {"fail_at": int(at), "answer_lost": answer_lost}
    keys = results._keys
    first = Copier(
        Stumbling(redis_server.url, **step) if role == "broker" else Links(redis_server.url),
        keys,
        Stumbling(store.url, **step) if role == "store" else Links(store.url),
    )

    with pytest.raises(OperationalError):
        first.run_once()
    readable = results.get_many_raw(["id-0", "id-1", "id-2"])
    redis_server.client().delete(BASE + b"outbox:copier")  # as if its time were over
    second = Copier(Links(redis_server.url), keys, Links(store.url))
    while second.run_once():
        pass

    assert readable == [outcome(n) for n in range(3)]
    assert left_on(redis_server) == (0, 0)
    assert kept_in(store) == 3
    assert results.get_many_raw(["id-0", "id-1", "id-2"]) == readable


def test_a_copier_that_was_held_up_overwrites_nothing_newer(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    keys = results._keys
    results.store_raw("id", progress(1), 60_000)

    class Late(Links):
        """Holds what it is to put, and puts it when it is told."""

        def __init__(self) -> None:
            super().__init__(store.url)
            self.held: list[bytes] = []

        def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Any]:
            self.held += commands
            raise OperationalError("held up")

    late = Late()
    with pytest.raises(OperationalError):
        Copier(Links(redis_server.url), keys, late).run_once()
    redis_server.client().delete(BASE + b"outbox:copier")
    results.store_raw("id", outcome(2), 60_000)
    Copier(Links(redis_server.url), keys, Links(store.url)).run_once()
    assert left_on(redis_server) == (0, 0)

    refused = Links(store.url).call(late.held)

    assert refused == [0]
    assert results.get_raw("id") == outcome(2)


def test_an_outcome_that_changed_while_it_was_copied_stays_until_it_is_copied_again(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    keys = results._keys
    results.store_raw("id", progress(1), 60_000)

    class Meanwhile(Links):
        def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Any]:
            results.store_raw("id", outcome(2), 60_000)
            return super().try_call(commands, within_s)

    copier = Copier(Links(redis_server.url), keys, Meanwhile(store.url))
    assert copier.run_once() == 1
    assert left_on(redis_server) == (1, 1)
    assert results.get_raw("id") == outcome(2)

    Copier(Links(redis_server.url), keys, Links(store.url)).run_once()
    redis_server.client().delete(BASE + b"outbox:copier")
    Copier(Links(redis_server.url), keys, Links(store.url)).run_once()

    assert left_on(redis_server) == (0, 0)
    assert results.get_raw("id") == outcome(2)


def test_a_forgotten_outcome_stays_forgotten_though_a_copy_was_under_way(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    keys = results._keys
    results.store_raw("id", outcome(1), 60_000)

    class Meanwhile(Links):
        def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Any]:
            results.forget(["id"])
            return super().try_call(commands, within_s)

    Copier(Links(redis_server.url), keys, Meanwhile(store.url)).run_once()

    assert results.get_raw("id") is None
    assert left_on(redis_server) == (0, 0)


def test_the_time_to_live_goes_on_while_an_outcome_waits_to_be_copied(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    client = redis_server.client()
    results.store_raw("old", outcome(1), 600_000)
    results.store_raw("for-ever", outcome(2), 0)
    results.store_raw("over", outcome(3), 600_000)
    client.pexpire(BASE + b"r:old", 60_000)  # as if nine minutes had passed
    client.delete(BASE + b"r:over")

    Copier(Links(redis_server.url), results._keys, Links(store.url)).run_once()

    assert 0 < store.client().pttl(BASE + b"kept:old") <= 60_000
    assert store.client().pttl(BASE + b"kept:for-ever") == -1
    assert results.get_many_raw(["old", "over"]) == [outcome(1), None]
    assert left_on(redis_server) == (0, 0)


def test_one_copies_at_a_time_and_a_lost_copier_is_replaced(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    keys = results._keys
    results.store_raw("id", outcome(1), 60_000)
    dead = Links(store.url.replace(str(store.port), "1"))
    with pytest.raises(BrokerError, match="The result backend at"):
        Copier(Links(redis_server.url), keys, dead).run_once()
    other = Copier(Links(redis_server.url), keys, Links(store.url))

    assert other.run_once() is None
    eventually(other.run_once, SOON)  # the first one's time is over

    assert left_on(redis_server) == (0, 0)


def test_large_outcomes_are_copied_a_few_at_a_time(
    results: OutboxResults, redis_server: RedisServer, store: RedisServer
) -> None:
    for n in range(5):
        results.store_raw(f"id-{n}", outcome("x" * 3_000_000), 60_000)
    counting = Stumbling(store.url, fail_at=0, answer_lost=False)

    Copier(Links(redis_server.url), results._keys, counting).run_once()

    assert counting.calls == 3
    assert left_on(redis_server) == (0, 0)


def test_every_way_to_end_a_task_is_copied(
    shop: Any, redis_server: RedisServer, store: RedisServer
) -> None:
    shop.start_worker()
    failed = shop.app.send_task("forms_tasks.add", (1, None))
    revoked = shop.app.send_task("forms_tasks.add", (1, 1), countdown=600)
    revoked.revoke()

    assert isinstance(failed.get(timeout=SOON, propagate=False), TypeError)
    assert revoked.state == "REVOKED"
    eventually(lambda: left_on(redis_server) == (0, 0), SOON)
    assert kept_in(store) == 2
    assert shop.app.AsyncResult(revoked.id).state == "REVOKED"
    assert shop.app.AsyncResult(failed.id).state == "FAILURE"


def test_a_broker_without_another_backend_has_no_outbox(redis_server: RedisServer) -> None:
    with Windlass("own", broker=redis_server.url, backend="redis://", set_as_current=False) as app:
        assert app.backend is not None
        app.backend.store_raw("id", outcome(1), 60_000)

        assert left_on(redis_server) == (1, 0)
