"""Solo's stand-in for the zygote: the one slot is the main thread, the supervisor a thread beside.

A cold stop cannot kill the task without the process: its message is handed back, and then the
process leaves under it. A worker embedded in a program (tests) leaves the process alone: the task
runs to its end, and its outcome is dropped.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable

from windlass.runtime.zygote import Born, Ended, SlotEnds, SlotEntry


class SoloSpawner:
    """Spawner for one slot in this process.

    Args:
        owns_process: Whether the process may be ended under a task that was given up.
    """

    def __init__(self, *, owns_process: bool = True) -> None:
        self._owns_process = owns_process
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._reports: list[Born | Ended] = []
        self._given: SlotEnds | None = None
        self._is_given = threading.Event()
        self._is_forsaken = False

    def fileno(self) -> int:
        """Readable when there are reports."""
        return self._read_fd

    def spawn(self, slot: int, ends: SlotEnds) -> None:
        """Give the slot's ends to the main thread."""
        self._given = SlotEnds(ends.sock.dup(), os.dup(ends.permits), os.dup(ends.answers))
        self._is_given.set()
        self._report(Born(slot, os.getpid()))

    def kill(self, slot: int, signum: int) -> None:
        """Give the task up: it is not waited for any more."""
        self._is_forsaken = True
        self._report(Ended(slot, os.getpid(), -signum))

    def reports(self) -> list[Born | Ended]:
        """Return what was reported."""
        try:
            os.read(self._read_fd, 4096)
        except BlockingIOError:
            return []
        found, self._reports = self._reports, []
        return found

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read_fd)
        os.close(self._write_fd)

    def run_beside(self, supervise: Callable[[], None], entry: SlotEntry) -> None:
        """Run the supervisor in a thread and the slot here until both end.

        Where a cold stop gave a running task up, the process ends here instead, at once, if it is
        the worker's own.
        """
        thread = threading.Thread(target=self._supervise, args=(supervise,), name="supervisor")
        thread.start()
        self._is_given.wait()
        if self._given is not None:
            entry(0, self._given)
            self._given.close()
        thread.join()

    def _supervise(self, supervise: Callable[[], None]) -> None:
        try:
            supervise()
        finally:
            self._is_given.set()
            if self._is_forsaken and self._owns_process:
                os._exit(0)
            if self._given is not None:
                # The supervisor's end stays open until its parts are closed; this ends the slot.
                self._given.sock.shutdown(socket.SHUT_RDWR)

    def _report(self, report: Born | Ended) -> None:
        self._reports.append(report)
        os.write(self._write_fd, b"\0")
