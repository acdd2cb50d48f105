"""`make demo`: the first example, applied and put to work, in about a minute.

`windlass up` on examples/01-quickstart, a burst of tasks, workers 0 -> 3 -> 0, and at the end a
check of every single task. Leaves nothing behind. Exit code 1 if anything was lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from windlass.control_plane.dead_letters import DeadLetter, list_dead
from windlass.errors import WindlassError
from windlass.log import scrub
from windlass_operator.local.files import read_resources
from windlass_operator.local.session import Options, Session
from windlass_operator.local.snapshot import PoolRow, QueueRow
from windlass_operator.local.up import make_display

QUEUE = "pictures"
BURST = 1000
PAGES = 3
RETRIES = 2 * PAGES
#: Far more than it takes anywhere; a demo that hangs says so instead.
DEADLINE_S = 150.0
_LOOK_S = 0.1


class DemoError(WindlassError):
    """The demo could not be carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What was sent, by kind: handles of results."""

    resized: Sequence[Any]
    fetched: Sequence[Any]
    poison: Any

    @property
    def total(self) -> int:
        """Number of calls."""
        return len(self.resized) + len(self.fetched) + 1


@dataclass(slots=True)
class Watched:
    """What was seen of the pool: (seconds since the burst, ready workers), at each change."""

    began_s: float
    workers: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])
    burst_s: float = 0.0

    def see(self, pool: PoolRow) -> None:
        """Note a change."""
        if pool.ready != self.workers[-1][1]:
            self.workers.append((time.monotonic() - self.began_s, pool.ready))

    @property
    def peak(self) -> int:
        """Most workers at once."""
        return max(count for _, count in self.workers)

    @property
    def course(self) -> str:
        """`0 -> 1 -> 3 -> 0`."""
        return " -> ".join(str(count) for _, count in self.workers)


def example_folder() -> Path:
    """Return the folder of the first example: in the package, or in the checkout."""
    packaged = Path(__file__).parent / "quickstart"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "examples/01-quickstart"


async def play(session: Session, summary: list[str]) -> int:
    """Send everything, watch until the pool sleeps again, and check; returns the exit code."""
    os.environ["WINDLASS_BROKER_URL"] = session.broker_url
    for name in ("WINDLASS_RESULT_BACKEND", "WINDLASS_KEYSPACE"):
        os.environ.pop(name, None)
    tasks = _import_tasks()
    await _until(session, lambda queue, _: queue.waiting is not None, DEADLINE_S)
    sent, took_s = await asyncio.to_thread(send, tasks)
    session.display.say(
        f"Sent {sent.total:,} tasks in {took_s:.2f} s: {BURST:,} of 50 ms, {PAGES} that fail "
        "twice and are retried, 1 that kills its process."
    )
    watched = Watched(time.monotonic())
    await watch(session, sent, watched)
    lines, code = await asyncio.to_thread(summarise, tasks, sent, watched)
    summary += lines
    return code


def send(tasks: ModuleType) -> tuple[Sent, float]:
    """Send everything, the burst in one round trip; returns it and the seconds that took."""
    began_s = time.monotonic()
    poison = tasks.poison.delay(13)
    fetched = [tasks.fetch.delay(page) for page in range(PAGES)]
    now = time.time()
    resized = tasks.resize.send_many([(picture, now) for picture in range(BURST)])
    sent = Sent(resized=resized, fetched=fetched, poison=poison)
    return sent, time.monotonic() - began_s


async def watch(session: Session, sent: Sent, watched: Watched) -> None:
    """Look until all is done and no worker is left."""

    def is_over(queue: QueueRow, pool: PoolRow) -> bool:
        watched.see(pool)
        over = (queue.done or 0) + (queue.dead or 0) >= sent.total
        if over and not watched.burst_s:
            watched.burst_s = time.monotonic() - watched.began_s
            session.display.say("All tasks are done; the pool waits a little, and goes to zero.")
        return over and pool.current == 0 and pool.ready == 0

    await _until(session, is_over, DEADLINE_S)


async def _until(session: Session, is_reached: Any, deadline_s: float) -> None:
    async with _deadline(session, deadline_s):
        while True:
            rows = session.snapshot
            if rows.queues and is_reached(rows.queues[0], rows.pools[0]):
                return
            await asyncio.sleep(_LOOK_S)


@contextlib.asynccontextmanager
async def _deadline(session: Session, deadline_s: float) -> Any:
    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError as error:
        message = f"Still not done after {deadline_s:.0f} s: {session.snapshot}."
        raise DemoError(message) from error


def summarise(tasks: ModuleType, sent: Sent, watched: Watched) -> tuple[list[str], int]:
    """Check every single task; returns what became of them, and the exit code."""
    handles = [*sent.resized, *sent.fetched]
    lost = {handle.id for handle in handles if handle.state != "SUCCESS"}
    waits_s = [handle.get(timeout=10) for handle in sent.resized if handle.id not in lost]
    retries = sum(handle.get(timeout=10) for handle in sent.fetched if handle.id not in lost)
    dead = list_dead(tasks.app.broker, QUEUE)
    is_as_expected = (
        not lost and retries == RETRIES and [letter.id for letter in dead] == [sent.poison.id]
    )
    lines = [
        f"  done        {len(handles) - len(lost):,} of {len(handles):,}, lost {len(lost)}",
        f"  workers     {watched.course}, peak {watched.peak}, "
        f"at zero again after {watched.workers[-1][0]:.0f} s",
        f"  rate        {BURST / watched.burst_s:,.0f} tasks a second for the burst",
        f"  wait        p50 {_percentile(waits_s, 50)}, p95 {_percentile(waits_s, 95)}",
        f"  retried     {retries} times, {PAGES} tasks that failed at first succeeded",
        *map(_dead_line, dead),
        "",
        _verdict(is_as_expected=is_as_expected),
    ]
    return lines, 0 if is_as_expected else 1


def _dead_line(letter: DeadLetter) -> str:
    return f"  dead letter {letter.task} after {letter.deliveries} deliveries: {letter.detail}"


def _verdict(*, is_as_expected: bool) -> str:
    if is_as_expected:
        return "Nothing was lost. Next: windlass up examples/01-quickstart, and edit its two files."
    return "Something went wrong: expected none lost and exactly one dead letter."


def _percentile(values_s: Sequence[float], percent: int) -> str:
    if not values_s:
        return "-"
    ordered = sorted(values_s)
    return f"{ordered[math.ceil(len(ordered) * percent / 100) - 1]:.1f} s"


def _import_tasks() -> ModuleType:
    sys.path.insert(0, str(example_folder()))
    return importlib.import_module("tasks")


def main() -> int:
    """Run the demo; returns the exit code."""
    resources = read_resources([example_folder() / "queue.yaml"])
    display = make_display(is_plain="--plain" in sys.argv)

    async def run() -> int:
        # An address in the environment is somebody's broker: the demo brings its own.
        environ = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_BROKER")}
        session = Session(resources, Options(log_level="WARNING", environ=environ), display)
        return await session.run(lambda running: play(running, summary))

    summary: list[str] = []
    try:
        code = asyncio.run(run())
    except WindlassError as error:
        print(f"Error: {scrub(str(error))}", file=sys.stderr)
        return 1
    print("\n".join(["", *summary]))
    if code == 130:
        print("Interrupted; everything that was started is ended.")
    return code


if __name__ == "__main__":
    sys.exit(main())
