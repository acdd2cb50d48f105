"""`make demo`: real work on a real Redis, shown as it happens, in about fifteen seconds.

Starts a Redis server in a temporary folder and a `windlass worker` with two slots, sends it the
tasks of `windlass.demo_tasks`, shows what becomes of them, checks that none was lost, and leaves
nothing behind. Exit code 1 if anything was lost.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from windlass import Windlass, states
from windlass.brokers.base import QueueDepth
from windlass.control_plane.dead_letters import list_dead
from windlass.control_plane.depth import read_depths
from windlass.control_plane.heartbeats import read_workers
from windlass.embedded_redis import EmbeddedRedis
from windlass.errors import WindlassError
from windlass.log import scrub
from windlass.result import AsyncResult

QUEUE = "default"
BURST = 2000
REMINDERS = 200
REMIND_OVER_S = 8.0
PAGES = 3
SLOTS = 2
#: Far more than it takes anywhere; a demo that hangs says so instead.
DEADLINE_S = 90.0
_LOOK_EVERY_S = 0.2


class DemoError(WindlassError):
    """The demo could not be carried out."""


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that runs, and the file that it logs to."""

    process: subprocess.Popen[bytes]
    log: Path


class Sent(msgspec.Struct, kw_only=True):
    """What was sent, by kind."""

    resized: list[AsyncResult[Any]]
    reminders: list[AsyncResult[Any]]
    pages: list[AsyncResult[Any]]
    poison: AsyncResult[Any]
    sent_in_s: float

    @property
    def total(self) -> int:
        """Number of calls."""
        return len(self.resized) + len(self.reminders) + len(self.pages) + 1


def main() -> int:
    """Run the demo; returns the exit code."""
    signal.signal(signal.SIGTERM, _on_term)
    try:
        with EmbeddedRedis() as server:
            say(f"Redis {_version(server)} ({server.binary.source}) at {server.url}")
            os.environ["WINDLASS_BROKER_URL"] = server.url
            with worker(server.folder) as process:
                return _show(process)
    except WindlassError as error:
        print(f"Error: {scrub(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything that was started is ended.")
        return 130


def _show(process: WorkerProcess) -> int:
    # Imported here because it reads the broker's address from the environment.
    from windlass.demo_tasks import app  # noqa: PLC0415

    with app:
        _await_worker(app, process)
        say(f"worker with {SLOTS} prefork slots is up: windlass worker -A windlass.demo_tasks")
        began = time.monotonic()
        sent = send(app)
        say(
            f"sent {sent.total:,} tasks in {sent.sent_in_s:.2f} s: {BURST:,} of about 1 ms, "
            f"{REMINDERS} scheduled over {REMIND_OVER_S:.0f} s, {PAGES} that fail first and are "
            "retried, 1 that kills its process"
        )
        burst_s = watch(app, sent, began)
        return summarise(app, sent, burst_s)


def send(app: Windlass) -> Sent:
    """Send everything: the burst in one round trip, the scheduled ones each with its time."""
    from windlass import demo_tasks as tasks  # noqa: PLC0415 - as above

    began = time.monotonic()
    poison = tasks.poison.delay(13)
    now = time.time()
    reminders = app.send_many(
        tasks.remind.s(person, now + delay_s).set(countdown=delay_s)
        for person, delay_s in enumerate(_spread(REMINDERS, REMIND_OVER_S))
    )
    pages = [tasks.fetch.delay(page, 1 + page) for page in range(PAGES)]
    now = time.time()
    resized = tasks.resize.send_many([(picture, now) for picture in range(BURST)])
    return Sent(
        resized=resized,
        reminders=reminders,
        pages=pages,
        poison=poison,
        sent_in_s=time.monotonic() - began,
    )


def watch(app: Windlass, sent: Sent, began: float) -> float:
    """Show the queue until nothing is left in it; returns seconds until the burst was done."""
    progress = Progress()
    burst_s = 0.0
    while True:
        (depth,) = read_depths(app.broker, [QUEUE])
        elapsed_s = time.monotonic() - began
        if not burst_s and depth.completed >= BURST:
            burst_s = elapsed_s
        progress.show(depth, sent.total, elapsed_s)
        if not (depth.open or depth.scheduled or depth.leased or depth.parked):
            progress.end()
            return burst_s or elapsed_s
        if elapsed_s > DEADLINE_S:
            progress.end()
            message = f"Still not done after {DEADLINE_S:.0f} s: {depth}."
            raise DemoError(message)
        time.sleep(_LOOK_EVERY_S)


class Progress:
    """One line that is drawn again and again on a terminal; elsewhere a line a second."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()
        self._next = 0.0

    def show(self, depth: QueueDepth, total: int, elapsed_s: float) -> None:
        """Draw the state of the queue."""
        if not self._live and elapsed_s < self._next:
            return
        self._next = math.floor(elapsed_s) + 1
        done = depth.completed + depth.dead
        filled = min(24, 24 * done // total)
        line = (
            f"{elapsed_s:5.1f} s  [{'#' * filled}{'.' * (24 - filled)}] {done:>5,} of {total:,}"
            f"  waiting {depth.open:,}  leased {depth.leased}  scheduled {depth.scheduled}"
            f"  dead {depth.dead}"
        )
        if self._live:
            print(f"\r\033[K{line}", end="", flush=True)
        else:
            say(line)

    def end(self) -> None:
        """Leave the line."""
        if self._live:
            print(flush=True)


def summarise(app: Windlass, sent: Sent, burst_s: float) -> int:
    """Check every single task and print what became of them; returns the exit code."""
    handles = [*sent.resized, *sent.reminders, *sent.pages]
    lost = [handle.id for handle in handles if handle.state != states.SUCCESS]
    waits_s = [handle.get(timeout=10) for handle in sent.resized if handle.id not in lost]
    lateness_s = [handle.get(timeout=10) for handle in sent.reminders if handle.id not in lost]
    retries = sum(handle.get(timeout=10) for handle in sent.pages if handle.id not in lost)
    dead = list_dead(app.broker, QUEUE)
    buried = any(letter.id == sent.poison.id for letter in dead)
    say("")
    say(f"  done        {len(handles) - len(lost):,} of {len(handles):,}, lost {len(lost)}")
    say(f"  rate        {BURST / burst_s:,.0f} tasks a second for the burst, on {SLOTS} slots")
    say(
        f"  wait        p50 {_percentile(waits_s, 50)}, p95 {_percentile(waits_s, 95)} in the burst"
    )
    say(
        f"  scheduled   {len(lateness_s)}, late by p50 {_percentile(lateness_s, 50)}, "
        f"p95 {_percentile(lateness_s, 95)}"
    )
    say(f"  retried     {retries} times, {PAGES} tasks that failed at first succeeded")
    for letter in dead:
        say(f"  dead letter {letter.task} after {letter.deliveries} deliveries: {letter.detail}")
    if lost or not buried or len(dead) != 1:
        say("\nSomething went wrong: expected none lost and exactly one dead letter.")
        return 1
    say("\nNothing was lost. Next: README.md, or write tasks.py and run")
    say("  windlass worker -A tasks -b redis://localhost:6379/0")
    return 0


@contextmanager
def worker(folder: Path) -> Iterator[WorkerProcess]:
    """Run a real worker process."""
    log_path = folder / "worker.log"
    command = [sys.executable, "-m", "windlass", "worker", "-A", "windlass.demo_tasks"]
    command += ["--concurrency", str(SLOTS), "--loglevel", "WARNING", "--quiet"]
    with log_path.open("wb") as log:
        # Its own session: Ctrl-C is for the demo, which then ends the worker in good order.
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield WorkerProcess(process, log_path)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def _await_worker(app: Windlass, worker_process: WorkerProcess) -> None:
    deadline = time.monotonic() + 30
    while not read_workers(app.broker):
        code = worker_process.process.poll()
        if code is not None or time.monotonic() > deadline:
            what = "did not start within 30 s" if code is None else f"ended with code {code}"
            tail = worker_process.log.read_text(errors="replace")[-2000:].strip()
            message = f"The worker {what}. Its log says:\n{tail or '(nothing)'}"
            raise DemoError(message)
        time.sleep(0.05)


def _spread(count: int, over_s: float) -> list[float]:
    return [1.0 + over_s * index / count for index in range(count)]


def _percentile(values_s: Sequence[float], percent: int) -> str:
    if not values_s:
        return "-"
    ordered = sorted(values_s)
    value_s = ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]
    return f"{value_s * 1000:.1f} ms" if value_s < 1 else f"{value_s:.2f} s"


def _version(server: EmbeddedRedis) -> str:
    return ".".join(map(str, server.binary.version))


def _on_term(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
