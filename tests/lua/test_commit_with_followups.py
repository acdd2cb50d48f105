from __future__ import annotations

from broker_state import (
    FINAL,
    done,
    fetch,
    has_bytes,
    ids_of,
    lease,
    leftovers,
    places,
    read,
    send,
    settle,
    snapshot,
)
from builders import make_message
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import list_queues


def test_the_end_and_what_follows_are_one_step(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    followups = (
        make_message(id="same", queue="q"),
        make_message(id="other", queue="other", priority=9),
        make_message(id="late", queue="q", delay_ms=500),
    )

    assert settle(broker, done(delivery, result=FINAL, followups=followups)) == []

    assert not has_bytes(broker, "a")
    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert ["ready"] == places(broker, "same") == places(broker, "other", "other")
    assert places(broker, "late") == ["scheduled"]
    assert list_queues(broker) == ["other", "q"]


def test_a_stale_token_sends_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    delivery.token += 1
    before = snapshot(broker)

    stale = settle(broker, done(delivery, result=FINAL, followups=(make_message(queue="q"),)))

    assert stale == ["a"]
    assert before == snapshot(broker)


def test_repeated_it_is_stale_and_sends_nothing_twice(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    end = done(delivery, result=FINAL, followups=(make_message(id="next", queue="q"),))
    settle(broker, end)
    before = snapshot(broker)

    assert settle(broker, end) == ["a"]
    assert before == snapshot(broker)


def test_a_follow_up_that_is_there_already_is_left_as_it_is(broker: RedisBroker) -> None:
    send(broker, "next", delay_ms=500)
    (delivery,) = lease(broker, "a")

    settle(broker, done(delivery, followups=(make_message(id="next", queue="q"),)))

    assert places(broker, "next") == ["scheduled"]


def test_a_follow_up_under_the_id_that_ends_takes_its_place(broker: RedisBroker) -> None:
    """What replace() and a chain that names its own id come to: the work goes on, never lost."""
    (delivery,) = lease(broker, "a", task="tests.old")

    settle(broker, done(delivery, followups=(make_message("tests.new", id="a", queue="q"),)))

    assert places(broker, "a") == ["ready"]
    (again,) = fetch(broker).deliveries
    assert b"tests.new" in again.raw
    settle(broker, done(again))
    assert leftovers(broker) == []


def test_follow_ups_of_a_whole_fan_out_arrive_in_order(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    followups = tuple(make_message(id=f"f{n:04}", queue="q") for n in range(1500))

    assert settle(broker, done(delivery, followups=followups)) == []
    assert [f"f{n:04}" for n in range(1000)] == ids_of(fetch(broker, 1000))
