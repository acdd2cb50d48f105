"""How a worker stops, as a small state machine. Pure: signals and times in, a stage out.

    TERM   drain: nothing new, what runs may finish until the time-out, the rest is handed back
    INT    the same; a second INT is a QUIT
    QUIT   cold: hand back everything now
    HUP    drain, then start again with the same command line

A second TERM changes nothing: orchestrators send it more than once. The exit status is 0.
"""

from __future__ import annotations

import signal
from enum import IntEnum


class StopStage(IntEnum):
    """How far a worker is on its way out; it never goes back."""

    RUNNING = 0
    DRAINING = 1
    COLD = 2


class StopKind(IntEnum):
    """What can be asked for."""

    WARM = 1
    COLD = 2
    RESTART = 3


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


class Shutdown:
    """Keeps the stage and the deadline.

    Args:
        drain_timeout_s: How long running tasks may go on after the first request.
    """

    def __init__(self, drain_timeout_s: float) -> None:
        self._drain_timeout_s = drain_timeout_s
        self.stage = StopStage.RUNNING
        self.wants_restart = False
        #: Monotonic time when a drain becomes cold.
        self.deadline = float("inf")

    def on_signal(self, signum: int, now: float) -> bool:
        """Take a signal; True if it changed the stage."""
        if signum == signal.SIGQUIT:
            return self.request(StopKind.COLD, now)
        if signum == signal.SIGINT and self.stage is not StopStage.RUNNING:
            return self.request(StopKind.COLD, now)
        if signum == signal.SIGHUP:
            return self.request(StopKind.RESTART, now)
        if signum in (signal.SIGTERM, signal.SIGINT):
            return self.request(StopKind.WARM, now)
        return False

    def request(self, kind: StopKind, now: float) -> bool:
        """Ask to stop; True if it changed the stage."""
        if kind is StopKind.RESTART and self.stage is StopStage.RUNNING:
            self.wants_restart = True
        wanted = StopStage.COLD if kind is StopKind.COLD else StopStage.DRAINING
        if wanted <= self.stage:
            return False
        if kind is StopKind.COLD:
            self.wants_restart = False  # who asks for an end after a restart means the end
        self.stage = wanted
        self.deadline = min(self.deadline, now + self._drain_timeout_s)
        return True

    def next_time(self) -> float:
        """When time changes something the next time, monotonic seconds; inf when it does not."""
        return self.deadline if self.stage is StopStage.DRAINING else float("inf")

    def on_time(self, now: float) -> bool:
        """Let time pass; True if the drain's time is up just now."""
        if self.stage is StopStage.DRAINING and now >= self.deadline:
            self.stage = StopStage.COLD
            return True
        return False
