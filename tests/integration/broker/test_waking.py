"""Waiting for work: woken by what comes, on time for what becomes due, and without polling."""

from __future__ import annotations

import threading
from collections.abc import Callable

from broker_state import fetch, ids_of, lease, read, send
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import Fetched, FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.queue_record import write_record

REQUEST = FetchRequest(worker_id="w", queues=("q", "r"), want=5, lease_ms=15_000, wait_ms=5_000)


class Waiter:
    """Waits once, in a thread of its own."""

    def __init__(self, server: RedisServer, timeout_s: float = 30.0) -> None:
        self.broker = RedisBroker(server.unix_url, keyspace="it")
        self.fetched: list[Fetched | None] = []
        self.broker.exchange([], REQUEST)
        self._client = server.client()
        blocked = self._blocked()
        self._thread = threading.Thread(target=self._run, args=(timeout_s,))
        self._thread.start()
        eventually(lambda: self._blocked() > blocked)

    def _blocked(self) -> int:
        return int(self._client.info("clients")["blocked_clients"])

    def _run(self, timeout_s: float) -> None:
        self.fetched.append(self.broker.wait(REQUEST, timeout_s))

    def ids(self) -> list[str]:
        self._thread.join(timeout=20)
        assert self.fetched, "still waiting"
        assert self.fetched[0] is not None
        self.broker.close()
        return ids_of(self.fetched[0])


def calls(server: RedisServer) -> int:
    stats = server.client().info("commandstats")
    return sum(int(entry["calls"]) for name, entry in stats.items() if name != "cmdstat_info")


def test_a_message_wakes_who_waits_on_any_of_its_queues(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    waiter = Waiter(redis_server)
    send(broker, "a", queue="r")

    assert waiter.ids() == ["a"]


def test_waiting_sends_nothing_until_it_ends(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    waiter = Waiter(redis_server)
    redis_server.client().config_resetstat()
    send(broker, "a")
    assert waiter.ids() == ["a"]

    stats = redis_server.client().info("commandstats")
    # The enqueue and the fetch, each with the commands of its script; nothing was asked twice.
    assert stats["cmdstat_evalsha"]["calls"] == 2


def test_every_way_to_become_ready_wakes(broker: RedisBroker, redis_server: RedisServer) -> None:
    (d,) = lease(broker, "back")
    back = broker.commands.settle([_back(d.token)])

    ways: dict[str, Callable[[], object]] = {
        "back": lambda: broker.links.call([back[0].command]),
        "new": lambda: send(broker, "new"),
        "late": lambda: send(broker, "late", delay_ms=1),
    }
    for id_, way in ways.items():
        waiter = Waiter(redis_server, timeout_s=30)
        way()
        got = waiter.ids()
        assert got == [id_] or (id_ == "late" and got == [])
    eventually(lambda: ids_of(fetch(broker)) == ["late"] or broker.stage("late") == "LEASED")


def _back(token: int):  # type: ignore[no-untyped-def]  # a one-line builder
    from windlass.brokers.base import HandBack

    return HandBack(id="back", queue="q", token=token)


def test_a_new_head_of_the_schedule_wakes_everyone_to_wait_for_the_right_time(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    waiters = [Waiter(redis_server) for _ in range(3)]
    send(broker, "late", delay_ms=3_600_000)

    assert [waiter.ids() for waiter in waiters] == [[], [], []]
    assert {waiter.fetched[0].next_due_ms for waiter in waiters if waiter.fetched[0]} == {
        int(read(broker, "ZSCORE", broker.keys.queue("q").scheduled, "0late"))
    }


def test_the_end_of_a_pause_wakes(broker: RedisBroker, redis_server: RedisServer) -> None:
    write_record(broker, "q", paused=True)
    send(broker, "a")
    waiter = Waiter(redis_server)
    write_record(broker, "q", paused=False)

    assert waiter.ids() == ["a"]


def test_one_message_wakes_one_worker_and_many_wake_many(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    first, second = Waiter(redis_server), Waiter(redis_server)
    send(broker, "a")
    eventually(lambda: first.fetched or second.fetched)
    assert [len(waiter.fetched) for waiter in (first, second)].count(1) == 1
    send(broker, "b")

    assert sorted(first.ids() + second.ids()) == ["a", "b"]


def test_a_wait_ends_when_something_is_due_and_before_what_comes_later(
    broker: RedisBroker,
) -> None:
    """A wait of 30 ms is not rounded up to the server's tenth of a second, or it would see both."""
    for round_ in range(5):
        first, second = f"first{round_}", f"second{round_}"
        send(broker, first, delay_ms=30)
        send(broker, second, delay_ms=60_000)
        got: list[str] = []
        while not got:
            fetched = broker.exchange([], REQUEST)[1]
            assert fetched is not None
            got = ids_of(fetched)
            if not got:
                woken = broker.wait(REQUEST, max(0.0, fetched.next_due_ms - fetched.now_ms) / 1000)
                assert woken is not None
                got = ids_of(woken)
        assert got == [first]
        assert broker.stage(second) == "SCHEDULED"


def test_waits_of_no_time_at_all_return_at_once(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    """The pop may reach the server after the call that ends it; it must not block for seconds."""
    before = redis_server.client().info("stats")["total_commands_processed"]
    for _ in range(300):
        assert broker.wait(REQUEST, 0.0) is not None
    after = redis_server.client().info("stats")["total_commands_processed"]
    assert after > before
    assert redis_server.client().info("clients")["blocked_clients"] == 0


def test_tokens_that_nobody_took_are_few_and_go_with_the_next_empty_fetch(
    broker: RedisBroker,
) -> None:
    broker.exchange([], REQUEST)
    for n in range(50):
        send(broker, f"m{n}")
    wake = broker.keys.queue("q").wake

    assert read(broker, "LLEN", wake) == 16
    fetch(broker, 100, ("q", "r"))
    broker.exchange([], REQUEST)
    assert read(broker, "LLEN", wake) == 0


def test_an_idle_worker_sends_less_than_five_commands_a_second(
    broker: RedisBroker, redis_server: RedisServer
) -> None:
    """A wait is three commands beside its fetch, and lasts five seconds when nothing is due."""
    broker.exchange([], REQUEST)
    redis_server.client().config_resetstat()
    broker.wait(REQUEST, 0.05)

    stats = redis_server.client().info("commandstats")
    sent = [name for name in stats if name in ("cmdstat_blpop", "cmdstat_evalsha")]
    assert [stats[name]["calls"] for name in sent] == [1, 1]
    # With those inside the script; ten a queue: this is what a worker costs in five seconds.
    assert calls(redis_server) < 30
