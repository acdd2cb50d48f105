"""A server and a worker for all tests of a module; each test sends tasks and reads results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats

HERE = Path(__file__).parent


def start_worker(
    server: RedisServer, log: Path, *flags: str, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a worker of `result_tasks`, with results on the broker's server."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "windlass", "-A", "result_tasks", "worker", *flags],
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
                "WINDLASS_BROKER_URL": server.url,
                "WINDLASS_RESULT_BACKEND": "redis://",
                **env,
            },
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def gates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task that waits for a gate goes on once a file of that name is here."""
    return tmp_path_factory.mktemp("gates")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def app(server: RedisServer) -> Iterator[Windlass]:
    """The caller's side: it has none of the worker's modules."""
    with Windlass("caller", broker=server.url, backend="redis://", set_as_current=False) as caller:
        yield caller


@pytest.fixture(scope="module")
def worker_of(
    server: RedisServer, gates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., None]]:
    """Start a worker with these flags, once for the module."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*flags: str, **env: str) -> None:
        log = tmp_path_factory.mktemp("worker") / "log"
        process = start_worker(server, log, *flags, env={"GATES": str(gates), **env})
        started.append(process)

        def is_up() -> bool:
            if process.poll() is not None:
                pytest.fail(f"the worker ended at its start:\n{log.read_text()}", pytrace=False)
            with Windlass("probe", broker=server.url, set_as_current=False) as probe:
                return any(s.pid == process.pid for s in heartbeats.read_workers(probe.broker))

        eventually(is_up, message="the worker comes up")

    yield start
    for process in started:
        stop(process)
