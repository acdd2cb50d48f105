"""When a slot process is replaced: after so many tasks, too much memory, or its death.

Memory is read during tasks, from outside. Over the limit the slot ends after the task it runs;
over twice the limit it is killed in the middle of it, which counts as a crash of that message
(deliveries + 1), so that a task which eats all memory ends as a dead letter and not as a loop.
A process that is over the limit before it ran anything is left alone: its successor would be too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

#: Memory of slots is read this often, seconds.
MEMORY_CHECK_S = 1.0
#: Killed at this multiple of max_memory_per_child.
KILL_FACTOR = 2.0
#: A process that lived at least so long was no failed start, seconds.
LIVED_S = 10.0
_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


class Verdict(Enum):
    """What is to happen to a slot process."""

    KEEP = "keep"
    RETIRE = "retire"
    KILL = "kill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """The limits. None: no limit.

    Attributes:
        max_tasks: Messages that one process runs.
        max_memory_kib: Resident memory, KiB (Celery's unit).
    """

    max_tasks: int | None = None
    max_memory_kib: int | None = None

    def judge_memory(self, rss_kib: int, *, has_run: bool) -> Verdict:
        """Decide on a process with so much resident memory."""
        if self.max_memory_kib is None or not has_run:
            return Verdict.KEEP
        if rss_kib > self.max_memory_kib * KILL_FACTOR:
            return Verdict.KILL
        return Verdict.RETIRE if rss_kib > self.max_memory_kib else Verdict.KEEP


class RestartPacing:
    """How long to wait before a dead slot is started again: at once, then 0.1 s doubling to 10 s.

    Deaths of processes that ran for a while are not counted: they say nothing about the start.
    """

    FIRST_S = 0.1
    LONGEST_S = 10.0

    def __init__(self) -> None:
        self._early_deaths: dict[int, int] = {}

    def delay_s(self, slot: int, lived_s: float) -> float:
        """Return the delay after a death of this slot's process."""
        if lived_s >= LIVED_S:
            self._early_deaths.pop(slot, None)
            return 0.0
        deaths = self._early_deaths.get(slot, 0)
        self._early_deaths[slot] = deaths + 1
        if deaths == 0:
            return 0.0
        return float(min(self.FIRST_S * 2 ** min(deaths - 1, 20), self.LONGEST_S))


def resident_kib(pid: int) -> int | None:
    """Read a process's resident memory; None when it cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_bytes().split()
    except OSError:
        return None
    return int(fields[1]) * _PAGE_KIB
