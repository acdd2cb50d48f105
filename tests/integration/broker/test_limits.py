"""A broker out of memory, one that may evict, a replica."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from broker_state import FINAL, done, fetch, leftovers, read, settle
from builders import make_message, make_messages
from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.base import StoredResult
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.errors import BrokerFullError, BrokerReadOnlyError
from windlass.messages import Outgoing

StartRedis = Callable[..., RedisServer]


@pytest.fixture
def small(start_redis: StartRedis) -> Iterator[RedisBroker]:
    server = start_redis({"maxmemory": "5mb", "maxmemory-policy": "noeviction"})
    broker = RedisBroker(server.url)
    yield broker
    broker.close()


def fill(broker: RedisBroker) -> list[Outgoing]:
    """Send until it is full; returns what was stored."""
    stored: list[Outgoing] = []
    while True:
        message = make_message(queue="q", args=("x" * 20_000,))
        try:
            broker.enqueue([message])
        except BrokerFullError:
            return stored
        stored.append(message)


def test_a_full_broker_is_told_to_the_sender_and_everything_stored_is_worked_off(
    small: RedisBroker,
) -> None:
    stored = fill(small)
    assert len(stored) > 10

    seen = []
    while deliveries := fetch(small, 3).deliveries:
        seen += [d.id for d in deliveries]
        assert settle(small, *(done(d, result=FINAL) for d in deliveries)) == []

    assert seen == [message.id for message in stored]
    assert leftovers(small) == []
    assert small.enqueue([make_message()]) == [True]


def test_leases_are_renewed_and_handed_over_while_it_is_full(small: RedisBroker) -> None:
    fill(small)
    first, *_ = fetch(small, 3).deliveries

    assert small.renew({"q": [first.token]}, 1) == []
    eventually(lambda: fetch(small, 0).expired_leases)
    assert small.reap("q", "w2") == 3


def test_a_batch_that_fits_in_part_says_how_much_was_stored(small: RedisBroker) -> None:
    messages = make_messages(3_000, queue="q", body=b"x" * 4_000)

    with pytest.raises(BrokerFullError, match="of 3,000 messages were stored") as error:
        small.enqueue(messages)

    depth = read_depths(small, ["q"])[0]
    assert 0 < error.value.stored < 3_000
    assert error.value.stored == depth.open == depth.enqueued


async def test_the_async_twin_says_so_too(small: RedisBroker) -> None:
    with pytest.raises(BrokerFullError, match="of 3,000 messages were stored"):
        await small.aenqueue(make_messages(3_000, queue="q", body=b"x" * 4_000))
    await small.async_links.close()


def test_a_large_outcome_is_refused_whole_and_taken_once_there_is_room(small: RedisBroker) -> None:
    fill(small)
    large = StoredResult(payload=b"jF" + b"x" * 50_000, ttl_ms=60_000)
    first, second = fetch(small, 2).deliveries

    with pytest.raises(BrokerFullError):
        settle(small, done(first, result=large), done(second, result=FINAL))
    assert settle(small, done(second, result=FINAL)) == [], "by itself the small one passes"
    small.purge("q")

    assert settle(small, done(first, result=large)) == []
    assert read(small, "GET", small.keys.result(first.id)) == large.payload


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "noeviction"])
def test_the_check_reports_the_eviction_policy(start_redis: StartRedis, policy: str) -> None:
    server = start_redis({"maxmemory-policy": policy})
    broker = RedisBroker(server.url)

    health = broker.check()

    assert (health.maxmemory_policy, health.role) == (policy, "master")
    assert health.version is not None
    broker.close()


@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_the_check_warns_of_a_broker_without_a_log(
    start_redis: StartRedis, appendonly: str
) -> None:
    broker = RedisBroker(start_redis({"appendonly": appendonly}).url)

    health = broker.check()

    assert health.appendonly == (appendonly == "yes")
    assert any("append-only" in warning for warning in health.warnings) == (appendonly == "no")
    broker.close()


def test_a_read_only_replica_refuses_in_words_and_the_primary_keeps_working(
    redis_server: RedisServer, start_redis: StartRedis
) -> None:
    replica = start_redis({"replicaof": f"127.0.0.1 {redis_server.port}"})
    client = replica.client()
    eventually(lambda: client.info("replication")["master_link_status"] == "up")
    broker = RedisBroker(replica.url)

    for messages in (make_messages(1), make_messages(3)):
        with pytest.raises(BrokerReadOnlyError, match="primary"):
            broker.enqueue(messages)
    with pytest.raises(BrokerReadOnlyError):
        fetch(broker, wait_ms=5_000)
    assert any("replica" in warning for warning in broker.check().warnings)
    assert broker.check().role == "slave"
    broker.close()
