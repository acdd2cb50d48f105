"""The workers of a run: processes that are started again when they end, as a cluster would."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import pack

import psutil

from chaos_workload import LIMITS, POISON_CAP

HERE = Path(__file__).parent
#: Deliveries after which a message is a dead letter: out of reach of any storm.
PLENTY = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A place in the fleet: what runs there, incarnation after incarnation."""

    flags: tuple[str, ...]
    queues: str = "main,poison,narrow"


#: Two that share the work, with different pools, and one that has the ordered queue to itself.
POSTS = (
    Post(flags=("-c", "2")),
    Post(flags=("-c", "2", "--pool", "threads")),
    Post(flags=("-c", "1"), queues="order"),
)
LARGE = (Post(flags=("-c", "3")), Post(flags=("-c", "2")), *POSTS[1:])


class Fleet:
    """The workers.

    Args:
        folder: For logs and the clock.
        posts: What is to run.
        url: Of a place -> the broker's address.
        env: For every worker.
        lease_s: Their lease.
    """

    def __init__(
        self,
        folder: Path,
        posts: Sequence[Post],
        url: Callable[[int], str],
        env: dict[str, str],
        lease_s: float,
    ) -> None:
        self._folder = folder
        self._posts = posts
        self._url = url
        self.lease_s = lease_s
        self._clock = folder / "clock"
        self._clock.write_bytes(pack("d", 0.0))
        self._env = {
            **os.environ,
            **env,
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE / "jumped_clock"), *sys.path]),
            "CHAOS_CLOCK": str(self._clock),
            "WINDLASS_WORKER_LEASE_S": str(lease_s),
            "WINDLASS_MAX_DELIVERIES": str(PLENTY),
            "WINDLASS_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 5}',
        }
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * len(posts)
        self._incarnations = [0] * len(posts)
        #: Worker -> its exit status.
        self.ends: dict[str, int] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name="fleet", daemon=True)

    def start(self) -> None:
        for place in range(len(self._posts)):
            self._start(place)
        self._keeper.start()

    def __len__(self) -> int:
        return len(self._posts)

    def name(self, place: int) -> str:
        """Its worker now: "w1.3"."""
        return f"w{place}.{self._incarnations[place]}"

    def member(self, place: int) -> tuple[str, psutil.Process]:
        """The worker's name and its supervisor; one that was just started if need be."""
        with self._lock:
            self._renew(place)
            process = self._processes[place]
            assert process is not None
            return self.name(place), psutil.Process(process.pid)

    def logs(self) -> str:
        """What all workers printed."""
        files = sorted(self._folder.glob("w*.log"))
        return "".join(file.read_text(errors="replace") for file in files)

    def set_clock(self, offset_s: float) -> None:
        """Jump to so many seconds from the true time."""
        with self._clock.open("r+b") as file:
            file.write(pack("d", offset_s))

    def close(self) -> None:
        """End every worker, and what a killed one may have left."""
        self._over.set()
        self._keeper.join(10)
        for place, process in enumerate(self._processes):
            if process is not None and process.poll() is None:
                for each in reversed(tree_of(self.member(place)[1])):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        each.kill()
                process.wait()
        for orphan in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if orphan.environ().get("CHAOS_CLOCK") == str(self._clock):
                    orphan.kill()

    def _keep(self) -> None:
        while not self._over.wait(0.1):
            with self._lock:
                for place in range(len(self._posts)):
                    self._renew(place)

    def _renew(self, place: int) -> None:
        process = self._processes[place]
        if process is None or process.poll() is not None:
            if process is not None:
                self.ends[self.name(place)] = process.returncode
            self._start(place)

    def _start(self, place: int) -> None:
        self._incarnations[place] += 1
        name, post = self.name(place), self._posts[place]
        command = [sys.executable, "-m", "windlass", "-A", "chaos_tasks", "worker"]
        with (self._folder / f"{name}.log").open("wb") as output:
            self._processes[place] = subprocess.Popen(
                [*command, *post.flags, "-Q", post.queues],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self._folder,
                env={
                    **self._env,
                    "CHAOS_WORKER": name,
                    "WINDLASS_BROKER_URL": self._url(place),
                    "WINDLASS_RESULT_BACKEND": self._url(place),
                },
            )


def tree_of(head: psutil.Process) -> list[psutil.Process]:
    """A supervisor, its zygote, its slots."""
    return [head, *head.children(recursive=True)]


def slots_of(head: psutil.Process) -> list[psutil.Process]:
    """The processes that run tasks: the zygote's children."""
    return [slot for child in head.children() for slot in child.children()]


RECORDS = {
    "main": {"max_deliveries": PLENTY},
    "order": {"max_deliveries": PLENTY},
    "poison": {"max_deliveries": POISON_CAP},
    "narrow": {
        "max_deliveries": PLENTY,
        "rate_limit": f"{LIMITS['narrow'].per_second}/s",
        "max_concurrency": LIMITS["narrow"].at_once,
    },
}
