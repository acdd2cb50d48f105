"""Tickers that are killed, stopped, cut off; a Redis that restarts: nothing is lost or doubled.

Every nominal time of every schedule has to be run exactly once. Ids follow from nominal times, so a
time that was left out and one that was fired twice are both seen in what a consumer has ended.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from tickers import Consumer, Tickers, declare, leader, wanted_ids
from waiting import eventually
from windlass.beat import ticker as ticker_module
from windlass.beat.ticker import Ticker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import pause_schedule, read_schedule
from windlass.redis_store.resp import packed

KEEPING = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture
def server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis(KEEPING)


@pytest.fixture
def broker(server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(server.unix_url, keyspace="safety")
    yield broker
    broker.close()


@pytest.fixture
def tickers(server: RedisServer) -> Iterator[Tickers]:
    tickers = Tickers(server.unix_url)
    yield tickers
    tickers.end()


def fired(broker: RedisBroker, name: str = "s0") -> int:
    return read_schedule(broker, name).fired


def fire_on(broker: RedisBroker, more: int = 5) -> None:
    """Wait until so many more times were fired."""
    until = fired(broker) + more
    eventually(lambda: fired(broker) >= until)


def assert_all_ran_once(broker: RedisBroker, names: list[str], consumer: Consumer) -> None:
    for name in names:
        pause_schedule(broker, name)
    wanted = [id_ for name in names for id_ in wanted_ids(broker, name)]
    assert len(wanted) > 20
    eventually(lambda: len(consumer.done) >= len(wanted))

    assert consumer.doubled == []
    assert sorted(consumer.done) == sorted(wanted)


def test_killing_the_leader_again_and_again_loses_and_doubles_nothing(
    broker: RedisBroker, tickers: Tickers, server: RedisServer
) -> None:
    names = declare(broker)
    for _ in range(2):
        tickers.start()
    with Consumer(server.unix_url) as consumer:
        for _ in range(3):
            victim = eventually(lambda: leader(broker))
            fire_on(broker)
            tickers.signal(victim, signal.SIGKILL)
            tickers.start()
            eventually(lambda victim=victim: leader(broker) not in ("", victim))
        fire_on(broker)

        assert_all_ran_once(broker, names, consumer)


def test_a_leader_that_is_stopped_when_it_was_about_to_fire_cannot_fire_twice(
    broker: RedisBroker, tickers: Tickers, server: RedisServer
) -> None:
    names = declare(broker)
    for _ in range(2):
        tickers.start()
    with Consumer(server.unix_url) as consumer:
        for _ in range(3):
            stopped = eventually(lambda: leader(broker))
            fire_on(broker)
            tickers.signal(stopped, signal.SIGUSR1)
            eventually(lambda stopped=stopped: leader(broker) not in ("", stopped))
            fire_on(broker)
            tickers.signal(stopped, signal.SIGCONT)
            fire_on(broker)

        assert_all_ran_once(broker, names, consumer)


def test_a_redis_that_restarts_loses_and_doubles_nothing(
    broker: RedisBroker, tickers: Tickers, server: RedisServer
) -> None:
    names = declare(broker)
    for _ in range(2):
        tickers.start()
    with Consumer(server.unix_url) as consumer:
        for _ in range(2):
            fire_on(broker)
            server.restart()
            broker.links.close()
        fire_on(broker)

        assert_all_ran_once(broker, names, consumer)


def test_many_tickers_that_all_believe_to_lead_fire_each_time_once(
    broker: RedisBroker, server: RedisServer
) -> None:
    """Leadership only spares work: here it is given up before every step, by all."""
    names = declare(broker)
    brokers = [RedisBroker(server.unix_url, keyspace="safety") for _ in range(3)]
    all_of_them = [Ticker(each, holder=f"t{n}") for n, each in enumerate(brokers)]
    refused = 0
    with Consumer(server.unix_url) as consumer:
        while fired(broker) < 15:
            for ticker in all_of_them:
                ticker._prepared = []
                ticker._tick()
                ticker._ask(0)
            for ticker in all_of_them:
                ticker.clock.measure(ticker._store.now_ms() + 60, ticker_module.monotonic())
                answers = ticker._fire_due()
                refused += answers["PAST"]
        assert refused > 10

        assert_all_ran_once(broker, names, consumer)
    for each in brokers:
        each.close()


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0], ids=["forward", "back"])
def test_a_clock_that_jumps_under_a_ticker_fires_nothing_early_and_nothing_twice(
    broker: RedisBroker, server: RedisServer, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    names, offset, real = declare(broker), [0.0], ticker_module.monotonic
    monkeypatch.setattr(ticker_module, "monotonic", lambda: real() + offset[0])
    early = []

    def note(fire: Any, what: str, at_ms: int) -> None:
        if what == "FIRED" and at_ms < fire.fire_at_ms:
            early.append(fire)

    ticker = Ticker(broker, holder="t", on_answer=note, max_interval_s=0.2)
    with Consumer(server.unix_url) as consumer:
        for turn in range(60):
            offset[0] = jump_s * (turn // 20)
            ticker.run_once(look=turn % 20 == 19)
            ticker._store.wait(0.02)

        assert early == []
        assert_all_ran_once(broker, names, consumer)


def test_with_everysec_a_power_cut_repeats_what_the_disk_had_not_got_and_leaves_nothing_out(
    start_redis: Callable[..., RedisServer],
) -> None:
    """A crash of the machine, as the disk has it: the log ends where it was last written."""
    server = start_redis({"appendonly": "yes", "appendfsync": "everysec"})
    broker = RedisBroker(server.unix_url, keyspace="safety")
    names, tickers = declare(broker), Tickers(server.unix_url)
    ticker = tickers.start()
    with Consumer(server.unix_url) as before:
        fire_on(broker, 10)
        written = {path: path.stat().st_size for path in logs_of(server)}
        fire_on(broker, 20)
    tickers.signal(ticker, signal.SIGSTOP)
    server.kill()
    for path, size in written.items():
        os.truncate(path, size)
    server.start()
    broker.links.close()
    kept = {id_.decode() for id_ in broker.links.call([packed("HKEYS", broker.keys.messages)])[0]}
    settled = {id_ for name in names for id_ in wanted_ids(broker, name)} - kept
    tickers.signal(ticker, signal.SIGCONT)

    with Consumer(server.unix_url, before) as after:
        fire_on(broker, 20)
        for name in names:
            pause_schedule(broker, name)
        wanted = {id_ for name in names for id_ in wanted_ids(broker, name)}
        eventually(lambda: wanted <= {*before.done, *after.done})
    tickers.end()
    broker.close()

    assert wanted == {*before.done, *after.done}
    assert after.doubled
    assert not settled & set(after.doubled)


def logs_of(server: RedisServer) -> list[Path]:
    """The append-only files of either version."""
    folder = server.folder
    return [
        path for path in folder.rglob("*.aof") if ".incr." in path.name or path.parent == folder
    ]
