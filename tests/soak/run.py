"""A long soak: `make soak` (an hour), `make soak MINUTES=5`; the tests run two minutes of it.

One worker and one client work through rounds of tasks of every outcome, while processes are
recycled and killed, connections cut and the server restarted. After each round, at rest, it is
looked at what they hold: memory, file descriptors, threads, connections, keys. What grows from the
end of the warm-up to the end of the run fails the soak, and so does a task that is lost.

Prints a line a round. Exit code 0: nothing grew and nothing was lost; 1: something was.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

sys.path[:0] = [str(Path(__file__).parent.parent / "support"), str(Path(__file__).parent)]

from redis_server import RedisServer  # noqa: E402 - after the path
from waiting import eventually  # noqa: E402 - likewise
from windlass import Windlass  # noqa: E402 - likewise
from windlass.control_plane.depth import read_depths  # noqa: E402 - likewise
from windlass.errors import OperationalError  # noqa: E402 - likewise
from windlass.exceptions import TaskRevokedError  # noqa: E402 - likewise

LEASE_S = 2.0
#: The first part of a run, in which caches fill and pools grow.
WARM_UP = 0.4
#: What memory may differ by, MB: allocators breathe. A leak of an hour is larger than this.
MEMORY_MB = 4.0
#: The same for what is counted in pieces: a connection more that is kept for the next call.
PIECES = 3
TASKS = 150


class Sample(msgspec.Struct, kw_only=True):
    """What was held after a round, at rest."""

    worker_mb: float
    worker_fds: int
    worker_threads: int
    slots: int
    client_mb: float
    client_fds: int
    client_threads: int
    connections: int
    keys: int


class Soak:
    """The server, the worker, the client, and what is done to them."""

    def __init__(self, folder: Path) -> None:
        self.server = RedisServer(config={"appendonly": "yes", "appendfsync": "always"}).start()
        self.log = folder / "worker.log"
        self.process = self._start_worker()
        self.worker = psutil.Process(self.process.pid)
        self.app = Windlass(
            "soak",
            broker=self.server.url,
            backend=self.server.url,
            set_as_current=False,
            broker_transport_options={"socket_timeout": 10},
        )
        self.client = psutil.Process()
        self.lost = 0
        self.done = 0
        self._misfortunes = itertools.cycle(
            [self.nothing, self.cut_connections, self.kill_slot, self.nothing, self.restart_server]
        )
        eventually(lambda: self.app.control.inspect().ping(), 30, "the worker answers")

    def _start_worker(self) -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            "WINDLASS_BROKER_URL": self.server.url,
            "WINDLASS_RESULT_BACKEND": self.server.url,
            "WINDLASS_WORKER_LEASE_S": str(LEASE_S),
        }
        with self.log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "windlass", "-A", "soak_tasks", "worker", "-c", "2"],
                env=env,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def close(self) -> None:
        """End all of it."""
        self.app.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.server.stop()

    # -- one round

    def run_once(self) -> Sample:
        """Send, disturb, gather, and look."""
        calls = [
            self.app.signature("soak_tasks.echo", args=["x" * random.choice((5, 3000))])
        ] * TASKS
        calls += [self.app.signature("soak_tasks.again")] * 5
        calls += [self.app.signature("soak_tasks.nap", args=[0.05])] * 10
        results = self._sending(lambda: self.app.send_many(calls))
        fails = self._sending(
            lambda: self.app.send_many([self.app.signature("soak_tasks.fail")] * 5)
        )
        self._sending(
            lambda: self.app.send_many([self.app.signature("soak_tasks.nothing")] * TASKS)
        )
        dying = self._sending(lambda: self.app.send_task("soak_tasks.die_once"))
        later = self._sending(lambda: self.app.send_task("soak_tasks.echo", [1], countdown=0.2))
        taken = self._sending(lambda: self.app.send_task("soak_tasks.echo", [1], countdown=3600))
        next(self._misfortunes)()
        self._sending(taken.revoke)
        self._gather([*results, dying, later])
        self._gather(fails, ValueError)
        self._gather([taken], TaskRevokedError)
        for each in (*results, *fails, dying, later, taken):
            self._sending(each.forget)
        return self._at_rest()

    def _gather(self, results: list, failure: type[Exception] | None = None) -> None:
        """Wait for outcomes: values, or this failure."""
        for result in results:
            try:
                result.get(timeout=60)
                self.done += failure is None
                self.lost += failure is not None
            except TimeoutError:
                self.lost += 1
                print(f"lost: {result.id} {result.stage}", flush=True)
            except Exception as error:
                is_expected = failure is not None and isinstance(error, failure)
                self.done += is_expected
                self.lost += not is_expected
                if not is_expected:
                    print(f"unexpected: {error!r}", flush=True)

    def _sending(self, call: Callable) -> object:
        """Do something that the broker's outage may interrupt; doing it twice does no harm."""
        for _ in range(20):
            try:
                return call()
            except OperationalError:
                time.sleep(0.2)
        return call()

    def _at_rest(self) -> Sample:
        eventually(self._is_quiet, 60, "the queue is empty and nothing runs")
        self.app.control.inspect().stats()
        gc.collect()
        with self._admin() as admin:
            slots = self.worker.children(recursive=True)
            return Sample(
                worker_mb=self.worker.memory_info().rss / 1e6,
                worker_fds=self.worker.num_fds(),
                worker_threads=self.worker.num_threads(),
                slots=len(slots),
                client_mb=self.client.memory_info().rss / 1e6,
                client_fds=self.client.num_fds(),
                client_threads=self.client.num_threads(),
                connections=admin.info("clients")["connected_clients"],
                keys=admin.dbsize(),
            )

    def _is_quiet(self) -> bool:
        try:
            (depth,) = read_depths(self.app.broker, ["default"])
            stats = self.app.control.inspect().stats() or {}
        except OperationalError:
            return False
        has_all = [len(each["pool"]["processes"]) == 2 for each in stats.values()]
        return has_all == [True] and not (depth.open or depth.leased or depth.scheduled)

    # -- misfortunes

    def nothing(self) -> None:
        """A quiet round."""

    def cut_connections(self) -> None:
        """Every connection is closed by the server."""
        with self._admin() as admin:
            for kind in ("normal", "pubsub"):
                admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def kill_slot(self) -> None:
        """A slot process dies; what it ran runs again."""
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):  # replaced just now
            (zygote,) = self.worker.children()
            random.choice(zygote.children()).kill()

    def restart_server(self) -> None:
        """The server is killed and comes back with its data."""
        self.server.restart()

    @contextmanager
    def _admin(self) -> Iterator:
        client = self.server.client()
        try:
            yield client
        finally:
            client.close()
            self.server._clients.remove(client)


def verdict(samples: list[Sample], lost: int) -> list[str]:
    """Say what grew from the end of the warm-up to the end, and what was lost."""
    warm = samples[int(len(samples) * WARM_UP) :]
    third = max(1, len(warm) // 3)
    problems = [f"{lost} tasks were lost or ended otherwise than they should"] if lost else []
    for name in Sample.__struct_fields__:
        first, last = (
            statistics.median(getattr(each, name) for each in part)
            for part in (warm[:third], warm[-third:])
        )
        allowed = MEMORY_MB if name.endswith("_mb") else PIECES
        if last - first > allowed:
            problems.append(f"{name} grew from {first:g} to {last:g}")
    return problems


def main() -> int:
    """Run for so many minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    names = Sample.__struct_fields__
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as folder:
        soak = Soak(Path(folder))
        try:
            print("  ".join(["minute", *names]), flush=True)
            started = time.monotonic()
            while (passed := time.monotonic() - started) < minutes * 60 or len(samples) < 6:
                samples.append(soak.run_once())
                values = [f"{getattr(samples[-1], name):.4g}" for name in names]
                print("  ".join([f"{passed / 60:6.2f}", *values]), flush=True)
            problems = verdict(samples, soak.lost)
            if problems:
                print(soak.log.read_text()[-3000:])
        finally:
            soak.close()
    print(f"{len(samples)} rounds, {soak.done:,} tasks ended as they should, {soak.lost} did not")
    print("\n".join(problems) or "nothing grew")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
