from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from broker_state import FINAL, NOW, PENDING, read
from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker
from windlass.results.redis import RedisResults


@pytest.fixture
def results(broker: RedisBroker) -> Iterator[RedisResults]:
    results = RedisResults(broker.links, broker.async_links, broker.keys)
    yield results
    results.close()


@pytest.fixture
def heard(broker: RedisBroker, each_redis_server: RedisServer) -> Iterator[redis.client.PubSub]:
    pubsub = each_redis_server.client().pubsub(ignore_subscribe_messages=True)
    pubsub.psubscribe("*")
    assert pubsub.get_message(timeout=5) is None
    yield pubsub
    pubsub.close()


def test_an_outcome_is_stored_with_its_time(broker: RedisBroker, results: RedisResults) -> None:
    results.store_raw("a", FINAL.payload, 60_000)
    results.store_raw("b", FINAL.payload, 0)

    assert results.get_many_raw(["b", "a", "c"]) == [FINAL.payload, FINAL.payload, None]
    assert 0 < read(broker, "PTTL", broker.keys.result("a")) <= 60_000
    assert read(broker, "PTTL", broker.keys.result("b")) == -1


def test_nothing_is_published_unless_somebody_waits(
    results: RedisResults, heard: redis.client.PubSub
) -> None:
    results.store_raw("a", FINAL.payload, 0)

    assert heard.get_message(timeout=0.05) is None


def test_who_waits_is_told_once_and_of_the_end_only(
    broker: RedisBroker, results: RedisResults, heard: redis.client.PubSub
) -> None:
    read(broker, "ZADD", broker.keys.waiting, NOW + 9_000, "a")

    results.store_raw("a", PENDING.payload, 0)
    results.store_raw("a", FINAL.payload, 0)
    results.store_raw("a", FINAL.payload, 0)

    message = heard.get_message(timeout=5)
    assert message is not None
    assert (message["channel"], message["data"]) == (broker.keys.done("a"), FINAL.payload)
    assert heard.get_message(timeout=0.05) is None


def test_forget_removes_and_twice_is_fine(results: RedisResults) -> None:
    results.store_raw("a", FINAL.payload, 0)
    for _ in range(2):
        results.forget(["a", "never.was"])
    results.forget([])

    assert results.get_raw("a") is None
