"""Process trees: what they use of CPU and memory, and how they are started and ended.

CPU time is read from each process' CPU clock (nanoseconds, all threads), memory as PSS from
smaps_rollup: pages that forked processes share are counted once over the tree.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_CPUCLOCK_SCHED = 2


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process (of all its threads)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.extend(int(child) for child in task.read_text().split())
    return found


def tree_of(pid: int) -> list[int]:
    """Return the process and everything below it."""
    tree, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        if Path(f"/proc/{current}").exists():
            tree.append(current)
            waiting.extend(children_of(current))
    return tree


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time these processes have used, user and system; the dead count nothing."""
    total_ns = 0
    for pid in pids:
        # clock_getcpuclockid(3): the clock id of another process is made from its pid.
        with contextlib.suppress(OSError):
            total_ns += time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    return total_ns / 1e9


def pss_mb(pids: Sequence[int]) -> float:
    """Return the proportional set size of these processes together, in MB (1e6 bytes)."""
    total_kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total_kib += int(line.split()[1])
    return total_kib * 1024 / 1e6


class Process:
    """A command with everything it starts. Its output goes to a log file.

    Args:
        command: Argument vector.
        env: The whole environment.
        log: File that gets stdout and stderr.
        cwd: Working folder.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path
    ) -> None:
        self.log = log
        self.started_ns = time.monotonic_ns()
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._seen: set[int] = {self._popen.pid}

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._popen.pid

    def tree(self) -> list[int]:
        """Return the live processes of the tree and remember them, so that `end` finds orphans."""
        tree = tree_of(self.pid)
        self._seen.update(tree)
        return tree

    def running(self) -> bool:
        """Say whether the first process is alive."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """SIGKILL the whole tree, the first process first, as the end of a container does."""
        self.end()

    def end(self) -> None:
        """Kill the tree, orphans included. Nothing that is measured depends on a clean stop."""
        self.tree()
        self._popen.kill()
        self._popen.wait()
        for pid in self._seen - {self.pid}:
            if self._is_ours(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        """Tell a survivor from a stranger that got its pid: ours kept the session."""
        try:
            return os.getsid(pid) == self.pid
        except ProcessLookupError:
            return False

    def tail(self, lines: int = 15) -> str:
        """Return the end of its output, for an error message."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
