"""Real worker processes: `start_worker()` runs `python -m windlass worker` on `worker_tasks`.

A test sends by name with `app`, learns what tasks do from files in `marks`, and ends with no
process left: every worker is killed with its slots.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import depth, heartbeats

#: Short, so that a lost worker is noticed while the test looks.
LEASE_S = 1.5


class WorkerProcess:
    """A worker of a test, and what can be done to it."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._log = log
        self.pid = process.pid
        self._tree: list[psutil.Process] = []

    def children(self) -> list[psutil.Process]:
        """The zygote and the slots."""
        found = psutil.Process(self.pid).children(recursive=True)
        self._tree = list({*self._tree, *found})
        return found

    def send(self, signum: int) -> None:
        os.kill(self.pid, signum)

    def wait(self, timeout: float = 20) -> int:
        """Return the exit status."""
        return self._process.wait(timeout)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text()

    def end(self) -> None:
        if self.is_alive:
            self.children()
            self.send(signal.SIGCONT)
            self._process.kill()
        self._process.wait()
        for child in self._tree:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue


class Marks:
    """What tasks wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def pids(self, name: str) -> list[int]:
        return [int(line.split()[0]) for line in self.lines(name)]

    def began(self, name: str, times: int = 1) -> int:
        """Wait until the task began so often; return the pid of the last run."""
        eventually(lambda: len(self.lines(f"{name}.began")) >= times, message=f"{name} begins")
        return self.pids(f"{name}.began")[-1]

    def go(self, name: str) -> None:
        (self.folder / f"{name}.go").touch()


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    folder = tmp_path / "marks"
    folder.mkdir()
    return Marks(folder)


@pytest.fixture
def server(redis_server: RedisServer) -> RedisServer:
    """The broker; tests that kill it override this."""
    return redis_server


@pytest.fixture
def app(server: RedisServer) -> Iterator[Windlass]:
    """The sender's side."""
    with Windlass("sender", broker=server.url, backend=server.url, set_as_current=False) as sender:
        yield sender


@pytest.fixture
def start_worker(
    server: RedisServer, app: Windlass, marks: Marks, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker and wait until the broker has its heartbeat."""
    started: list[WorkerProcess] = []

    def start(
        *flags: str,
        tasks: str = "worker_tasks",
        lease_s: float = LEASE_S,
        waits: bool = True,
        **env: str,
    ) -> WorkerProcess:
        log = tmp_path / f"worker-{len(started)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "windlass", "-A", tasks, "worker", *flags],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
                    "WINDLASS_BROKER_URL": server.url,
                    "WINDLASS_RESULT_BACKEND": server.url,
                    "WINDLASS_WORKER_LEASE_S": str(lease_s),
                    "MARKS": str(marks.folder),
                    **env,
                },
            )
        worker = WorkerProcess(process, log)
        started.append(worker)
        if waits:
            eventually(lambda: is_up(app, worker), message="the worker comes up")
        return worker

    yield start
    for worker in started:
        worker.end()


def is_up(app: Windlass, worker: WorkerProcess) -> bool:
    if not worker.is_alive:
        pytest.fail(f"the worker ended at its start:\n{worker.log()}", pytrace=False)
    return any(status.pid == worker.pid for status in heartbeats.read_workers(app.broker))


@pytest.fixture
def depth_of(app: Windlass) -> Callable[..., depth.QueueDepth]:
    """Read how much waits in a queue."""
    return lambda queue="default": depth.read_depths(app.broker, [queue])[0]


@pytest.fixture
def measure(app: Windlass, marks: Marks) -> Callable[[str], None]:
    """Let the worker measure a task as short, so that it comes in batches from then on."""

    def run(task: str) -> None:
        marks.go("measured")
        for _ in range(5):
            app.send_task(task, ["measured"]).get(timeout=10)

    return run
