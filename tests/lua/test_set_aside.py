"""Parked messages by task and dead letters by reason, of a few and of many."""

from __future__ import annotations

from broker_state import lease, read, settle, snapshot
from windlass.brokers.base import Bury, Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.set_aside import (
    SetAside,
    read_set_aside,
    set_aside_call,
    set_aside_of,
    survey_set_aside,
)


def park(broker: RedisBroker, task: str, *ids: str) -> None:
    for delivery in lease(broker, *ids):
        settle(broker, Park(id=delivery.id, queue="q", token=delivery.token, task=task))


def bury(broker: RedisBroker, reason: str, *ids: str, detail: str = "") -> None:
    for one in lease(broker, *ids):
        letter = Bury(
            id=one.id, queue="q", token=one.token, reason=reason, detail=detail, worker="w"
        )
        settle(broker, letter)


def test_tasks_and_reasons_are_counted_the_most_frequent_first(broker: RedisBroker) -> None:
    park(broker, "tests.rare", "a")
    park(broker, "tests.often", "b", "c")
    bury(broker, "rejected", "d")
    bury(broker, "undecodable", "e", "f")
    before = snapshot(broker)

    (aside,) = read_set_aside(broker, ["q"])

    assert aside == SetAside(
        parked=3,
        tasks={"tests.often": 2, "tests.rare": 1},
        dead=3,
        reasons={"undecodable": 2, "rejected": 1},
    )
    assert list(aside.tasks) == ["tests.often", "tests.rare"]
    assert before == snapshot(broker)


def test_words_of_an_obituary_are_not_taken_for_its_reason(broker: RedisBroker) -> None:
    bury(broker, "rejected", "a", detail='{"reason":"too_large"} "reason":"x"')

    assert read_set_aside(broker, ["q"])[0].reasons == {"rejected": 1}


def test_nothing_set_aside_is_nothing(broker: RedisBroker) -> None:
    assert read_set_aside(broker, ["q", "never"]) == [SetAside(), SetAside()]
    assert read_set_aside(broker, []) == []


def test_of_many_only_some_are_looked_at_and_the_counts_are_scaled(broker: RedisBroker) -> None:
    parked = broker.keys.queue("q").parked
    read(broker, "HSET", parked, *(word for n in range(2000) for word in (f"i{n}", "17:tests.a")))
    call = set_aside_call(broker.keys, "q", most=100)

    first, again = (set_aside_of(broker.links.call([call])[0]) for _ in range(2))

    assert broker.links.call([call])[0][1] < 200
    assert (first.parked, first.tasks) == (2000, {"tests.a": 2000})
    assert first == again


def test_many_keyspaces_are_read_at_once(broker: RedisBroker) -> None:
    park(broker, "tests.new", "a")
    space = broker.keys.keyspace

    found = survey_set_aside(broker.links, [(space, "q"), ("other", "q")])

    assert found[space, "q"].tasks == {"tests.new": 1}
    assert found["other", "q"] == SetAside()
    assert survey_set_aside(broker.links, []) == {}
