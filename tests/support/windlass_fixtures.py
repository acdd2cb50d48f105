"""Fixtures of every test: real Redis servers, message builders, waiting.

    redis_server        one server a session, running and empty at the start of each test
    redis_url           its address over TCP; redis_unix_url over its socket; redis_client
    each_redis_server   the same, and the test runs once on every Redis version found here
    start_redis         a factory: `start_redis({"maxmemory": "5mb"})`; stopped after the test

A machine without a Redis server skips these tests; with CI set they fail instead.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping

import pytest
import redis

from redis_server import RedisServer
from windlass.embedded_redis import NoRedisServerError, ServerBinary, find_server, found_servers


def skip_or_fail(reason: str) -> None:
    """Skip on a laptop; fail where CI is set, so that a missing server never turns CI green."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason} (CI is set, so this is a failure)", pytrace=False)
    pytest.skip(reason)


@functools.cache
def _binaries() -> tuple[ServerBinary, ...]:
    return tuple(found_servers())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `each_redis_server` once for every version found."""
    if "each_redis_server" in metafunc.fixturenames:
        binaries: list[ServerBinary | None] = [*_binaries()] or [None]
        metafunc.parametrize(
            "each_redis_server",
            binaries,
            indirect=True,
            ids=[binary.label if binary else "no-redis-server" for binary in binaries],
            scope="function",
        )


@pytest.fixture(scope="session")
def _servers() -> Iterator[Callable[[ServerBinary], RedisServer]]:
    running: dict[ServerBinary, RedisServer] = {}

    def get(binary: ServerBinary) -> RedisServer:
        server = running.get(binary) or running.setdefault(binary, RedisServer(binary))
        server.flush()
        return server

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture
def redis_server(_servers: Callable[[ServerBinary], RedisServer]) -> RedisServer:
    """The session's server, running and empty."""
    return _servers(_first_binary())


@pytest.fixture
def each_redis_server(
    request: pytest.FixtureRequest, _servers: Callable[[ServerBinary], RedisServer]
) -> RedisServer:
    """A running and empty server of each version found on this machine."""
    if request.param is None:
        skip_or_fail("no Redis server program here")
    return _servers(request.param)


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Address of the session's server over TCP."""
    return redis_server.url


@pytest.fixture
def redis_unix_url(redis_server: RedisServer) -> str:
    """Address of the session's server over its unix socket."""
    return redis_server.unix_url


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    """A plain client of the session's server, giving bytes."""
    client = redis_server.client()
    yield client
    client.close()


@pytest.fixture
def start_redis() -> Iterator[Callable[..., RedisServer]]:
    """Start a server of the test's own, with its own configuration."""
    started: list[RedisServer] = []

    def start(
        config: Mapping[str, str] | None = None, binary: ServerBinary | None = None
    ) -> RedisServer:
        server = RedisServer(binary or _first_binary(), config)
        started.append(server)
        return server.start()

    yield start
    for server in started:
        server.stop()


def _first_binary() -> ServerBinary:
    try:
        return find_server()
    except NoRedisServerError as error:
        skip_or_fail(str(error))
        raise
