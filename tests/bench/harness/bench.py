"""What every scenario works with: the server, the marks page, workers and clients of a peer."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .clients import ClientProcess
from .marks import ENVIRONMENT_NAME, MarksPage
from .peer import RESULTS_NAME, TUNED_NAME, URL_NAME, Flavour, Peer
from .processes import Process, cpu_seconds
from .redis_server import BenchRedis

ROOT = Path(__file__).resolve().parent.parent
_SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds used so far, and when that was (monotonic ns)."""

    at_ns: int
    #: By pid. What a process uses that ends between two samples is lost.
    workers_s: Mapping[int, float]
    redis_s: float

    def workers_since(self, before: Sample) -> float:
        """Return the CPU seconds that the workers have used since then."""
        return sum(now - before.workers_s.get(pid, 0.0) for pid, now in self.workers_s.items())


class Bench:
    """One run of the benchmark: holds the server and the page. Use as a context manager.

    Args:
        scale: Factor on every count; 1 is the full size.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        self.scale = scale
        self._temporary = tempfile.TemporaryDirectory(prefix="windlass-bench-")
        self.folder = Path(self._temporary.name)
        shared = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else self.folder
        self.marks = MarksPage(shared / f"windlass-bench-{os.getpid()}", create=True)
        self.redis = BenchRedis(self.folder)
        self.message_bytes = 124  # of noop.delay() in Windlass, id included

    def scaled(self, count: int, *, at_least: int = 20) -> int:
        """Return a count for this run's scale."""
        return max(at_least, int(count * self.scale))

    def seconds(self, full_s: float) -> float:
        """Return a duration for this run's scale, a tenth of the full one at least."""
        return full_s * min(1.0, max(0.1, self.scale))

    def fresh(self) -> None:
        """Empty the server and the page."""
        self.redis.clear()
        self.marks.clear()

    def environment(self, flavour: Flavour) -> dict[str, str]:
        """Return the environment of a peer's processes."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in ("PYTHONPATH", "PYTHONASYNCIODEBUG") and not name.startswith("WINDLASS_")
        }
        return kept | {
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            URL_NAME: self.redis.url,
            RESULTS_NAME: "1" if flavour.results else "0",
            TUNED_NAME: "1" if flavour.recovery else "0",
            ENVIRONMENT_NAME: str(self.marks.path),
            "BENCH_MESSAGE_BYTES": str(self.message_bytes),
        }

    def client(self, peer: Peer, flavour: Flavour) -> ClientProcess:
        """Start a sending process of the peer."""
        return ClientProcess(
            peer,
            env=self.environment(flavour),
            folder=ROOT,
            log=self.folder / f"{peer.name}-client.log",
        )

    @contextlib.contextmanager
    def workers(self, peer: Peer, flavour: Flavour) -> Iterator[list[Process]]:
        """Start the peer's workers; end them and all they started on the way out."""
        env = self.environment(flavour)
        log = self.folder / f"{peer.name}-worker.log"
        started: list[Process] = []
        try:
            for command in peer.worker_commands(flavour):
                started.append(Process(command, env=env, log=log, cwd=ROOT))  # noqa: PERF401 - kept for `finally`
            yield started
        finally:
            for worker in started:
                worker.end()

    def wait(
        self,
        done: Callable[[], bool],
        *,
        workers: Sequence[Process],
        timeout_s: float,
        every_s: float = 0.005,
    ) -> bool:
        """Poll until `done`, or the time is over. Returns which.

        Raises:
            RuntimeError: A worker ended by itself.
        """
        deadline = time.monotonic() + timeout_s
        while not done():
            if time.monotonic() > deadline:
                return False
            for worker in workers:
                if not worker.running():
                    raise RuntimeError(f"A worker ended by itself. It said:\n{worker.tail()}")
            time.sleep(every_s)
        return True

    def require(
        self, done: Callable[[], bool], *, workers: Sequence[Process], timeout_s: float = 120
    ) -> None:
        """Wait as `wait`.

        Raises:
            RuntimeError: It did not happen in time, or a worker ended by itself.
        """
        if not self.wait(done, workers=workers, timeout_s=timeout_s):
            said = "\n".join(worker.tail() for worker in workers)
            raise RuntimeError(f"Not done within {timeout_s} s. The workers said:\n{said}")

    def sample(self, workers: Sequence[Process]) -> Sample:
        """Read the CPU clocks."""
        pids = [pid for worker in workers for pid in worker.tree()]
        used = {pid: cpu_seconds([pid]) for pid in pids}
        return Sample(time.monotonic_ns(), used, self.redis.cpu_s())

    def warm(self, peer: Peer, client: ClientProcess, workers: Sequence[Process]) -> None:
        """Wait until every worker process has had the time to start, and tasks run."""
        first = 199_000  # indexes that no scenario uses
        client.ask("paced", task="mark", gaps_s=[0.0] * 10, first=first)

        def all_ran() -> bool:
            return all(self.marks.times_ns(first + 10)[first:])

        self.require(all_ran, workers=workers, timeout_s=30)

    def __enter__(self) -> Bench:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.redis.close()
        self.marks.close()
        self._temporary.cleanup()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
