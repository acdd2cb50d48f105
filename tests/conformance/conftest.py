"""Each test of brokers runs once in memory and once on every Redis version found here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker_samples import MemorySample, RedisSample, Sample
from redis_server import RedisServer
from windlass.embedded_redis import ServerBinary, found_servers
from windlass_fixtures import skip_or_fail

MEMORY = "memory"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "brokers" in metafunc.fixturenames:
        servers: list[ServerBinary | None] = [*found_servers()] or [None]
        ids = [MEMORY, *(server.label if server else "no-redis-server" for server in servers)]
        metafunc.parametrize("brokers", [MEMORY, *servers], ids=ids, indirect=True)


@pytest.fixture
def brokers(
    request: pytest.FixtureRequest, _servers: Callable[[ServerBinary], RedisServer]
) -> Iterator[Sample]:
    if request.param is None:
        skip_or_fail("no Redis server program here")
    if request.param == MEMORY:
        made: Sample = MemorySample()
    else:
        made = RedisSample(_servers(request.param).unix_url)
    yield made
    made.broker.close()
    made.other.close()


@pytest.fixture
def broker(brokers: Sample) -> Any:
    return brokers.broker
