"""Locks whose message is gone take no memory for long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from broker_state import done, fetch, read, settle
from redis_server import RedisServer
from unique_samples import make_unique
from windlass.brokers.redis import RedisBroker
from windlass.runtime import lock_sweep
from windlass.runtime.lock_sweep import LockSweep


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace="locks")
    yield broker
    broker.close()


def locks(broker: RedisBroker) -> int:
    return int(read(broker, "HLEN", broker.keys.unique))


def end_all(broker: RedisBroker) -> None:
    while deliveries := fetch(broker, 1000).deliveries:
        settle(broker, *(done(each) for each in deliveries))


def test_thousands_of_stale_locks_are_gone_after_one_turn_and_the_others_stay(
    broker: RedisBroker,
) -> None:
    for start in range(0, 3000, 500):
        broker.enqueue_unique(
            [make_unique(f"m{i}", key=f"t:{i}") for i in range(start, start + 500)]
        )
    end_all(broker)
    broker.enqueue_unique([make_unique("waits", key="t:waits")])
    assert locks(broker) == 3001

    dropped = LockSweep(broker, every_s=0).run_once()

    assert dropped == 3000
    assert locks(broker) == 1


def test_a_turn_is_bounded_and_the_next_goes_on_where_it_ended(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = broker.sweep_unique

    def noted(cursor: str) -> Any:
        calls.append(cursor)
        return real(cursor)

    monkeypatch.setattr(broker, "sweep_unique", noted)
    broker.enqueue_unique([make_unique(f"m{i}", key=f"t:{i}") for i in range(2500)])
    sweep = LockSweep(broker, every_s=0)

    for _ in range(40):
        sweep.run_once()
        if len(calls) > 1 and "0" in calls[1:]:
            break

    assert locks(broker) == 2500
    assert len(calls) >= 2500 / 600
    end_all(broker)
    monkeypatch.setattr(lock_sweep, "CALLS", 2)
    before = len(calls)
    sweep.run_once()
    assert len(calls) - before <= 2


def test_between_two_passes_nothing_is_asked(
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = LockSweep(broker, every_s=0)
    sweep._every_s = 3600
    sweep.run_once()
    monkeypatch.setattr(broker, "sweep_unique", lambda _: pytest.fail("asked"))

    assert sweep.run_once() == 0
