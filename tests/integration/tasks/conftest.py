"""A worker process for each pool, shared by the tests of a module, on a Redis of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats
from windlass.embedded_redis import NoRedisServerError, find_server
from windlass_fixtures import skip_or_fail

sys.path.insert(0, str(Path(__file__).parent))  # for feature_tasks, here and in the workers


@pytest.fixture(scope="module")
def own_redis() -> Iterator[RedisServer]:
    try:
        server = RedisServer(find_server())
    except NoRedisServerError as error:
        skip_or_fail(str(error))
        raise
    yield server.start()
    server.stop()


@pytest.fixture(scope="module", params=["prefork", "threads", "asyncio"])
def pool(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def app(pool: str, own_redis: RedisServer) -> Iterator[Windlass]:
    """The sender's app, with a worker of this pool running."""
    import feature_tasks

    sender = feature_tasks.app
    sender.conf.update(
        broker_url=own_redis.url, result_backend=own_redis.url, keyspace=f"tasks-{pool}"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "WINDLASS_BROKER_URL": own_redis.url,
        "WINDLASS_RESULT_BACKEND": own_redis.url,
        "WINDLASS_KEYSPACE": f"tasks-{pool}",
    }
    command = [sys.executable, "-m", "windlass", "-A", "feature_tasks", "worker", "-P", pool]
    worker = subprocess.Popen([*command, "-c", "2", "-l", "ERROR"], env=environment)
    try:
        eventually(lambda: heartbeats.read_workers(sender.broker), message="the worker comes up")
        yield sender
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(20)
        finally:
            worker.kill()
            sender.close()
