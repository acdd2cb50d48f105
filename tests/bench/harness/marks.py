"""A shared memory page in which tasks leave marks, the same for every system that is measured.

A mark is the only work a benchmark task does: it costs about 0.2 us and no system call, so it says
when a task ran without asking the broker. Layout, in 8-byte words:

    SLOTS * SLOT_WORDS   one slot a process: count, time of the last count (monotonic ns)
    INDEX_WORDS          one word an index: when that task was marked (0: never)
    INDEX_WORDS          one word an index: how often

Written by worker processes (`count`, `mark`), read by the harness (`MarksPage`).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from pathlib import Path

SLOTS = 256
SLOT_WORDS = 8  # a cache line each
INDEX_WORDS = 200_000
_INDEX_AT = SLOTS * SLOT_WORDS
_TIMES_AT = _INDEX_AT + INDEX_WORDS
WORDS = _TIMES_AT + INDEX_WORDS
ENVIRONMENT_NAME = "BENCH_MARKS"


class MarksPage:
    """The harness' view of the page; also creates the file.

    Args:
        path: File to map, best on tmpfs. Created (and emptied) if `create`.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if create:
            with path.open("wb") as file:
                file.truncate(WORDS * 8)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), WORDS * 8)
        self.words = memoryview(self._map).cast("Q")

    def clear(self) -> None:
        """Forget every mark. Only while no worker runs: a live process keeps its own count."""
        self._map[:] = bytes(WORDS * 8)

    def counted(self) -> int:
        """Return how many tasks were counted, over all processes."""
        return sum(self.words[0:_INDEX_AT:SLOT_WORDS].tolist())

    def last_ns(self) -> int:
        """Return when the last task was counted, monotonic ns."""
        return max(self.words[1:_INDEX_AT:SLOT_WORDS].tolist())

    def marked(self, count: int) -> int:
        """Return how many of the first `count` indexes were marked."""
        return count - self.words[_INDEX_AT : _INDEX_AT + count].tolist().count(0)

    def times_ns(self, count: int) -> list[int]:
        """Return when each of the first `count` indexes was last marked, 0 for never."""
        return self.words[_INDEX_AT : _INDEX_AT + count].tolist()

    def repeats(self, count: int) -> int:
        """Return how many marks came on top of the first one of an index."""
        marks = self.words[_TIMES_AT : _TIMES_AT + count].tolist()
        return sum(times - 1 for times in marks if times > 1)

    def close(self) -> None:
        """Unmap and delete the file."""
        self.words.release()
        self._map.close()
        self.path.unlink(missing_ok=True)


class _Writer:
    """A worker process' own slot. Not thread-safe for `count`; `mark` is, for distinct indexes."""

    def __init__(self) -> None:
        self._words: memoryview | None = None
        self._slot = 0
        self._count = 0

    def forget(self) -> None:
        """Claim a new slot at the next mark: this process is a fork of the one that had it."""
        self._words = None
        self._count = 0

    def _open(self) -> memoryview:
        path = os.environ[ENVIRONMENT_NAME]
        with open(path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            words = memoryview(mmap.mmap(file.fileno(), WORDS * 8)).cast("Q")
            taken = words[2:_INDEX_AT:SLOT_WORDS].tolist()
            self._slot = taken.index(0) * SLOT_WORDS
            words[self._slot + 2] = os.getpid()
            fcntl.flock(file, fcntl.LOCK_UN)  # closing would not: the mapping keeps the file open
        self._words = words
        return words

    def count(self) -> None:
        """Count one task."""
        words = self._words
        if words is None:
            words = self._open()
        self._count = words[self._slot] = self._count + 1
        words[self._slot + 1] = time.monotonic_ns()

    def mark(self, index: int) -> None:
        """Say that the task of this index ran now."""
        words = self._words
        if words is None:
            words = self._open()
        words[_INDEX_AT + index] = time.monotonic_ns()
        words[_TIMES_AT + index] += 1


_writer = _Writer()
os.register_at_fork(after_in_child=_writer.forget)
count = _writer.count
mark = _writer.mark
