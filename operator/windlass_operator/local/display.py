"""What the reader sees: workers' lines with their names before them, and the state of things.

`PlainDisplay` prints lines, for files and pipes. `windlass_operator.local.table` draws a table.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import TextIO

from windlass_operator.local.snapshot import PoolRow, QueueRow, Snapshot
from windlass_operator.plan import EmitEvent

#: Without a change a plain line comes so often, while there is work.
_REMINDER_S = 5.0


class Display(ABC):
    """Takes lines from any thread; shows them when it is flushed, in their order."""

    def __init__(self) -> None:
        self._lines: deque[tuple[str, str]] = deque()

    def worker_said(self, pod: str, line: str) -> None:
        """Take a line of a worker's output."""
        self._lines.append((pod, line))

    def event(self, about: str, event: EmitEvent) -> None:
        """Take what would be a Kubernetes Event."""
        self._lines.append(("", f"{about} {event.reason}: {event.message}"))

    def say(self, text: str = "") -> None:
        """Take a line of our own."""
        self._lines.extend(("", line) for line in text.split("\n"))

    def flush(self) -> None:
        """Show the lines that came in."""
        taken = [self._lines.popleft() for _ in range(len(self._lines))]
        if taken:
            self._print(taken)

    @abstractmethod
    def _print(self, lines: list[tuple[str, str]]) -> None: ...

    @abstractmethod
    def show(self, snapshot: Snapshot, now_s: float) -> None:
        """Show the state of things."""

    def begin(self) -> None:
        """Get ready for the first `show`."""
        self.flush()

    def end(self) -> None:
        """Show what is left."""
        self.flush()


@dataclass(frozen=True, slots=True)
class _Shown:
    key: object
    moving: object
    at_s: float


_NEVER = _Shown(None, None, 0.0)


class PlainDisplay(Display):
    """Lines only; one of a pool or queue when it changed."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stdout
        self._began_s: float | None = None
        self._shown: dict[str, _Shown] = {}

    def _print(self, lines: list[tuple[str, str]]) -> None:
        width = max(len(pod) for pod, _ in lines)
        text = "".join(f"{pod:<{width}} | {line}\n" if pod else f"{line}\n" for pod, line in lines)
        self._stream.write(text)
        self._stream.flush()

    def show(self, snapshot: Snapshot, now_s: float) -> None:
        """Print what changed; numbers that move all the time every few seconds."""
        began_s = self._began_s = now_s if self._began_s is None else self._began_s
        for pool in snapshot.pools:
            key = (pool.desired, pool.current, pool.ready, pool.is_well and pool.reason)
            self._line(f"pool {pool.name}", key, pool.busy, pool_line(pool), now_s - began_s)
        for queue in snapshot.queues:
            moving = (queue.waiting, queue.running, queue.done)
            self._line(f"queue {queue.name}", queue.words, moving, queue_line(queue),
                       now_s - began_s)  # fmt: skip
        self.flush()

    def _line(self, name: str, key: object, moving: object, line: str, at_s: float) -> None:
        before = self._shown.get(name, _NEVER)
        if before.key == key and (before.moving == moving or at_s - before.at_s < _REMINDER_S):
            return
        self._shown[name] = _Shown(key, moving, at_s)
        self._lines.append(("", f"{at_s:6.1f} s  {name}: {line}"))


def pool_line(pool: PoolRow) -> str:
    """Say a pool in one line."""
    line = (
        f"{pool.desired} wanted, {pool.current} there, {pool.ready} ready, "
        f"{pool.busy} of {pool.slots} slots busy"
    )
    if not pool.is_well:
        return f"{line}. {pool.words}"
    return f"{line} ({pool.reason})" if pool.reason else line


def queue_line(queue: QueueRow) -> str:
    """Say a queue in one line."""
    if queue.waiting is None:
        return queue.words or "not read yet"
    line = (
        f"{queue.waiting:,} waiting, {queue.running:,} leased, {queue.scheduled:,} scheduled, "
        f"{queue.dead:,} dead, {queue.done:,} done, {queue.rate:,.0f} a second"
    )
    return f"{line}. {queue.words}" if queue.words else line
