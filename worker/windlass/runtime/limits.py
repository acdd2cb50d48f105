"""Soft time limits inside a slot, one way for each pool. (Hard ones: `windlass.runtime.slots`.).

prefork, solo   an interval timer of the process; its signal raises inside the task
threads         `windlass.runtime.thread_limits`
asyncio         `windlass.runtime.coroutines` at an await, the timer of this file between two

Each raises `SoftTimeLimitExceeded` inside the task, once; the task may catch it and clean up.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from windlass.errors import SoftTimeLimitExceeded


class AlarmLimit:
    """The soft limit of a process that runs one task at a time in its main thread."""

    def __init__(self) -> None:
        self._is_armed = False
        self._limit_s = 0.0

    @contextmanager
    def __call__(self, limit_s: float) -> Iterator[None]:
        """Raise inside the block after `limit_s` seconds."""
        self._limit_s = limit_s
        self._is_armed = True
        # Set anew for each task: user code may have put a handler of its own there.
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.setitimer(signal.ITIMER_REAL, limit_s)
        try:
            yield
        finally:
            self._is_armed = False  # an alarm that comes between here and the next line is void
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_alarm(self, _signum: int, _frame: object) -> None:
        if self._is_armed:
            self._is_armed = False
            raise SoftTimeLimitExceeded(self._limit_s)
