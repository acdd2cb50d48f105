"""A broker on the session's server, with the real clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redis_server import RedisServer
from windlass.brokers.redis import RedisBroker


@pytest.fixture
def broker(redis_server: RedisServer) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, keyspace="it")
    yield broker
    broker.close()
