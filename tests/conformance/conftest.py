"""Each test of brokers runs in memory, on every Redis version found here and every form of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from broker_samples import MemorySample, RedisSample, Sample
from redis_forms import FORMS, started
from redis_server import RedisServer
from windlass.embedded_redis import ServerBinary, found_servers
from windlass_fixtures import skip_or_fail

MEMORY = "memory"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "brokers" in metafunc.fixturenames:
        servers: list[ServerBinary | None] = [*found_servers()] or [None]
        labels = [server.label if server else "no-redis-server" for server in servers]
        # What a script does on one server it does behind Sentinels: the core is enough there.
        is_core = metafunc.module.__name__.endswith("test_brokers")
        forms = [form for form in FORMS if is_core or form != "sentinel"]
        metafunc.parametrize(
            "brokers", [MEMORY, *servers, *forms], ids=[MEMORY, *labels, *forms], indirect=True
        )


@pytest.fixture(scope="session")
def _forms() -> Iterator[Callable[[str], RedisSample]]:
    """Start a form when the first test asks for it; it is emptied for each."""
    with contextlib.ExitStack() as stack:
        running: dict[str, tuple[str, dict[str, Any], list[RedisServer]]] = {}

        def get(form: str) -> RedisSample:
            if form not in running:
                running[form] = stack.enter_context(started(form))
            url, options, servers = running[form]
            for server in servers:
                server.flush()
            return RedisSample(url, options)

        yield get


@pytest.fixture
def brokers(
    request: pytest.FixtureRequest,
    _servers: Callable[[ServerBinary], RedisServer],
    _forms: Callable[[str], RedisSample],
) -> Iterator[Sample]:
    if request.param is None:
        skip_or_fail("no Redis server program here")
    if request.param == MEMORY:
        made: Sample = MemorySample()
    elif request.param in FORMS:
        made = _forms(request.param)
    else:
        made = RedisSample(_servers(request.param).unix_url)
    yield made
    made.broker.close()
    made.other.close()


@pytest.fixture
def broker(brokers: Sample) -> Any:
    return brokers.broker
