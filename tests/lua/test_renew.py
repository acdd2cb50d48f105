from __future__ import annotations

from broker_state import (
    LEASE_MS,
    NOW,
    at,
    done,
    fetch,
    lease,
    out_of_memory,
    places,
    read,
    settle,
    snapshot,
)
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker


def test_a_grant_lives_longer_with_all_its_messages(broker: RedisBroker) -> None:
    first, _ = lease(broker, "a", "b")
    at(broker, NOW + 5_000)

    assert broker.renew({"q": [first.token]}, LEASE_MS) == []
    score = read(broker, "ZSCORE", broker.keys.queue("q").leases, first.token)
    assert int(score) == NOW + 5_000 + LEASE_MS


def test_lost_and_settled_grants_are_named_and_not_brought_back(broker: RedisBroker) -> None:
    (ended,) = lease(broker, "ended")
    settle(broker, done(ended))
    (lost,) = lease(broker, "lost")
    at(broker, NOW + LEASE_MS)
    broker.reap("q", "w2")
    fetch(broker, 1)
    (live,) = lease(broker, "live")
    before = snapshot(broker)

    lost_tokens = broker.renew({"q": [ended.token, lost.token, live.token, 999]}, LEASE_MS)

    assert [ended.token, lost.token, 999] == lost_tokens
    assert before == snapshot(broker)


def test_a_grant_that_ran_out_and_was_not_reaped_lives_on(broker: RedisBroker) -> None:
    (delivery,) = lease(broker, "a")
    at(broker, NOW + 10 * LEASE_MS)

    assert broker.renew({"q": [delivery.token]}, LEASE_MS) == []
    assert broker.reap("q", "w2") == 0
    assert places(broker, "a") == ["leased"]


def test_several_queues_are_one_trip(broker: RedisBroker) -> None:
    a, b = lease(broker, "a", queue="a")[0], lease(broker, "b", queue="b")[0]

    assert [b.token] == broker.renew({"a": [a.token, b.token], "b": [b.token], "c": []}, LEASE_MS)
    assert broker.renew({}, LEASE_MS) == []


def test_a_full_broker_renews_so_that_no_healthy_worker_is_counted_as_lost(
    broker: RedisBroker, each_redis_server: RedisServer
) -> None:
    (delivery,) = lease(broker, "a")
    at(broker, NOW + 5_000)
    with out_of_memory(each_redis_server):
        assert broker.renew({"q": [delivery.token]}, LEASE_MS) == []

    at(broker, NOW + LEASE_MS)
    assert broker.reap("q", "w2") == 0
