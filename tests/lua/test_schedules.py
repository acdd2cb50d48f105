"""The scripts of schedules: arity, refusals that do nothing, doing it twice, a full broker.

What they mean together is in tests/conformance/test_schedules.py, on every broker.
"""

from __future__ import annotations

from typing import Any

import pytest

from broker_state import NOW, at, out_of_memory, snapshot
from redis_server import RedisServer
from schedule_builders import SECOND, make_entry, make_ticker, run_all, take, tick
from windlass.beat.entry import Overlap
from windlass.beat.ticker import Ticker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import (
    pause_schedule,
    put_schedule,
    read_schedule,
    remove_schedule,
    schedules_of,
    trigger_schedule,
)
from windlass.errors import BrokerFullError
from windlass.redis_store.resp import packed


def state(broker: RedisBroker) -> dict[str, Any]:
    """Everything under the keyspace. Schedules field by field: Redis moves them in a long hash."""
    found = snapshot(broker)
    for key in found:
        if key.startswith("schedule:"):
            found[key] = schedules_of(broker).load([key.removeprefix("schedule:")])
    return found


@pytest.fixture
def ticker(broker: RedisBroker) -> Ticker:
    """A ticker that has prepared the first fire of the schedule "s", a second ahead."""
    put_schedule(broker, make_entry())
    at(broker, NOW + 9 * SECOND)
    prepared = make_ticker(broker)
    prepared.run_once()
    return prepared


def test_set_schedule_does_nothing_for_another_generation(broker: RedisBroker) -> None:
    put_schedule(broker, make_entry())
    before = state(broker)
    changed = schedules_of(broker).set(
        "s", queue="q", old_queue="q", expected=7, fresh=True, fire_at_ms=1, fields={"paused": b"1"}
    )

    assert changed == 0
    assert state(broker) == before


def test_remove_schedule_takes_what_is_no_schedule_too(broker: RedisBroker) -> None:
    put_schedule(broker, make_entry("s"))
    key = broker.keys.schedule("s")
    broker.links.call([packed("DEL", key), packed("SET", key, "mine")])

    assert remove_schedule(broker, "s")
    assert broker.links.call([packed("EXISTS", key, broker.keys.schedules)]) == [0]
    assert not remove_schedule(broker, "s")


def test_remove_schedule_leaves_no_key_but_the_count_of_changes(broker: RedisBroker) -> None:
    put_schedule(broker, make_entry())
    trigger_schedule(broker, "s")
    run_all(broker)
    assert not schedules_of(broker).remove("s", queue="q", expected=7)
    assert remove_schedule(broker, "s")

    left = {key for key in state(broker) if not key.startswith("q:")}
    assert left <= {"changes", "queues", "tokens", "revoked"}
    assert "q:q:beat" not in state(broker)


def test_fire_schedule_twice_is_refused_and_changes_nothing(
    broker: RedisBroker, ticker: Ticker
) -> None:
    at(broker, NOW + 10 * SECOND)
    fires, store = list(ticker._prepared), schedules_of(broker)
    assert [answer.what for answer in store.fire(fires)] == ["FIRED"]
    before = state(broker)

    assert [answer.what for answer in store.fire(fires)] == ["PAST"]
    assert state(broker) == before


@pytest.mark.parametrize(
    ("change", "what"),
    [("early", "EARLY"), ("paused", "CHANGED"), ("removed", "GONE"), ("changed", "CHANGED")],
)
def test_fire_schedule_that_is_refused_changes_nothing(
    broker: RedisBroker, ticker: Ticker, change: str, what: str
) -> None:
    if change != "early":
        at(broker, NOW + 10 * SECOND)
    if change == "paused":
        pause_schedule(broker, "s")
    elif change == "removed":
        remove_schedule(broker, "s")
    elif change == "changed":
        put_schedule(broker, make_entry(args=[1]))
    before = state(broker)

    assert [each.what for each in schedules_of(broker).fire(list(ticker._prepared))] == [what]
    assert state(broker) == before


def test_fire_schedule_leaves_an_id_that_is_there_as_it_is(
    broker: RedisBroker, ticker: Ticker
) -> None:
    (fire,) = ticker._prepared
    broker.enqueue([fire.message])
    at(broker, NOW + 10 * SECOND)
    assert schedules_of(broker).fire([fire])[0].what == "FIRED"

    assert [each.id for each in take(broker)] == [fire.message.id]


def test_a_full_broker_refuses_a_fire_as_a_whole_and_does_it_later(
    broker: RedisBroker, ticker: Ticker, each_redis_server: RedisServer
) -> None:
    at(broker, NOW + 10 * SECOND)
    fires, before = list(ticker._prepared), state(broker)
    with out_of_memory(each_redis_server), pytest.raises(BrokerFullError):
        schedules_of(broker).fire(fires)
    assert state(broker) == before

    assert [answer.what for answer in schedules_of(broker).fire(fires)] == ["FIRED"]


def test_trigger_schedule_does_nothing_for_another_generation(broker: RedisBroker) -> None:
    put_schedule(broker, make_entry())
    before, message = state(broker), make_entry().message("u", NOW)

    assert not schedules_of(broker).trigger("s", generation=7, nominal_ms=NOW, message=message)
    assert state(broker) == before


def test_tick_schedules_names_what_is_due_to_the_leader_only(broker: RedisBroker) -> None:
    for name in ("a", "b", "c"):
        put_schedule(broker, make_entry(name))
    store = schedules_of(broker)

    step = store.tick("one", lead_ms=5000, ahead_ms=60_000, limit=2)
    other = store.tick("two", lead_ms=5000, ahead_ms=60_000, limit=2)

    assert [name for name, _ in step.due] == ["a", "b"]
    assert step.head_ms == NOW + 10 * SECOND
    assert (other.leads, other.due, other.until_ms) == (False, [], NOW + 5000)


def test_runs_that_are_not_counted_any_more_leave_nothing_behind(broker: RedisBroker) -> None:
    put_schedule(broker, make_entry(overlap=Overlap.ALLOW))
    ticker = make_ticker(broker)
    for turn in range(1, 121):
        at(broker, NOW + turn * 10 * SECOND)
        assert tick(ticker) == {"FIRED": 1}
    assert len(read_schedule(broker, "s").active) == 100

    run_all(broker)
    at(broker, NOW + 121 * 10 * SECOND)
    tick(ticker)
    run_all(broker)
    remove_schedule(broker, "s")
    assert "runs" not in state(broker)
