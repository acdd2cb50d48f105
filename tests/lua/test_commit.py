from __future__ import annotations

import pytest

from broker_state import (
    FINAL,
    LEASE_MS,
    NOW,
    at,
    done,
    fetch,
    has_bytes,
    lease,
    leftovers,
    out_of_memory,
    places,
    read,
    settle,
    snapshot,
)
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import HandBack, StoredResult
from windlass.brokers.redis import RedisBroker


def test_message_ends_with_its_outcome_stored(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")

    assert settle(broker, done(delivery, result=FINAL, duration_ms=1.5)) == []

    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert 0 < read(broker, "PTTL", broker.keys.result("a")) <= FINAL.ttl_ms
    assert not has_bytes(broker, "a")
    assert [] == places(broker, "a") == leftovers(broker)
    stats = read(broker, "HMGET", broker.keys.queue("q").stats, "completed", "service_us")
    assert stats == [b"1", b"1500"]


def test_no_outcome_is_stored_where_none_is_given(broker: RedisBroker) -> None:
    settle(broker, done(lease(broker, "a")[0]))

    assert read(broker, "EXISTS", broker.keys.result("a")) == 0


def test_a_ttl_of_0_keeps_an_outcome_for_ever(broker: RedisBroker) -> None:
    settle(broker, done(lease(broker, "a")[0], result=StoredResult(payload=b"jFx", ttl_ms=0)))

    assert read(broker, "PTTL", broker.keys.result("a")) == -1


def test_outcomes_meet_their_own_message_in_a_mixed_batch(broker: RedisBroker) -> None:
    deliveries = lease(broker, *"abcdef")
    results = [StoredResult(payload=b"jF" + d.id.encode(), ttl_ms=900_000) for d in deliveries]

    ends = [
        done(d, result=result if d.id in "ace" else None)
        for d, result in zip(deliveries, results, strict=True)
    ]
    settle(broker, *ends)

    stored = [read(broker, "GET", broker.keys.result(id_)) for id_ in "abcdef"]
    assert stored == [b"jFa", None, b"jFc", None, b"jFe", None]


def test_a_stale_token_does_nothing_for_its_message_and_all_for_the_others(
    broker: RedisBroker,
) -> None:
    first, second, third = lease(broker, "a", "b", "c")
    second.token -= 1

    stale = settle(broker, *(done(d, result=FINAL) for d in (first, second, third)))

    assert stale == ["b"]
    assert places(broker, "b") == ["leased"]
    assert read(broker, "EXISTS", broker.keys.result("b")) == 0
    assert read(broker, "HGET", broker.keys.queue("q").left, first.token) == b"1"


def test_a_settlement_repeated_is_stale_and_changes_nothing(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    settle(broker, done(delivery))
    before = snapshot(broker)

    assert settle(broker, done(delivery, result=FINAL)) == ["a"]
    assert before == snapshot(broker)


def test_a_settlement_twice_in_one_batch_counts_once(broker: RedisBroker) -> None:
    first, second = lease(broker, "a", "b")

    assert settle(broker, done(first, result=FINAL), done(first, result=FINAL)) == ["a"]

    assert places(broker, "b") == ["leased"]
    assert broker.renew({"q": [second.token]}, LEASE_MS) == [], "its grant lives on"
    assert settle(broker, done(second)) == []
    assert read(broker, "HGET", broker.keys.queue("q").stats, "completed") == b"2"


def test_the_last_message_of_a_grant_closes_it_whatever_the_order(broker: RedisBroker) -> None:
    deliveries = lease(broker, *"abcd")
    settle(broker, done(deliveries[2]), HandBack(id="a", queue="q", token=deliveries[0].token))
    settle(broker, done(deliveries[1]), done(deliveries[3]))
    (again,) = fetch(broker).deliveries
    settle(broker, done(again))

    assert leftovers(broker) == []


def test_grants_of_several_fetches_are_settled_in_one_call(broker: RedisBroker) -> None:
    deliveries = [lease(broker, f"m{n}")[0] for n in range(5)]

    assert settle(broker, *map(done, deliveries)) == []
    assert leftovers(broker) == []


def test_an_expired_lease_that_nobody_reaped_is_still_good(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    at(broker, NOW + 10 * LEASE_MS)

    assert settle(broker, done(delivery)) == []


@pytest.mark.parametrize("followups", [(), (make_message(id="next", queue="q"),)])
def test_a_full_broker_takes_outcomes_since_ending_messages_frees_memory(
    broker: RedisBroker, each_redis_server: RedisServer, followups: tuple[object, ...]
) -> None:
    deliveries = lease(broker, "a", "b")
    with out_of_memory(each_redis_server):
        assert settle(broker, *(done(d, result=FINAL) for d in deliveries[1:])) == []
        assert settle(broker, done(deliveries[0], result=FINAL, followups=followups)) == []

    assert FINAL.payload == read(broker, "GET", broker.keys.result("a"))
    assert bool(followups) == has_bytes(broker, "next")
