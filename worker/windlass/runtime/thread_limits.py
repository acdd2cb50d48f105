"""The soft time limit of tasks in threads: a timer thread raises inside the task's thread.

A module of its own, so that other pools do not load ctypes. See `windlass.runtime.limits`.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import monotonic

from windlass.errors import SoftTimeLimitExceeded
from windlass.runtime.limits import AlarmLimit


class ThreadLimit:
    """The soft limit of tasks in threads: one timer thread for all of them.

    A thread that is inside a blocking call of the C library sees the exception when it returns.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int]] = []  # (deadline, ticket)
        self._armed: dict[int, int] = {}  # ticket -> thread id
        self._tickets = itertools.count()
        self._changed = threading.Condition()
        self._timer: threading.Thread | None = None

    @contextmanager
    def __call__(self, limit_s: float) -> Iterator[None]:
        """Raise inside the block after `limit_s` seconds."""
        ticket, thread_id = next(self._tickets), threading.get_ident()
        with self._changed:
            self._start_timer()
            self._armed[ticket] = thread_id
            heapq.heappush(self._due, (monotonic() + limit_s, ticket))
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                if self._armed.pop(ticket, None) is None:
                    # It has been raised. Where it has not arrived yet, it must not hit the next.
                    _raise_in(thread_id, None)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Thread(target=self._run, name="soft-limits", daemon=True)
            self._timer.start()

    def _run(self) -> None:
        with self._changed:
            while True:
                timeout_s = self._due[0][0] - monotonic() if self._due else None
                if timeout_s is None or timeout_s > 0:
                    self._changed.wait(timeout_s)
                    continue
                _, ticket = heapq.heappop(self._due)
                thread_id = self._armed.pop(ticket, None)
                if thread_id is not None:
                    _raise_in(thread_id, SoftTimeLimitExceeded)


def _raise_in(thread_id: int, exception: type[BaseException] | None) -> None:
    target = ctypes.py_object(exception) if exception is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), target)


class LoopLimit:
    """The soft limit of an asyncio process: an alarm for its loop, a thread's limit else."""

    def __init__(self) -> None:
        self._alarm = AlarmLimit()
        self._thread = ThreadLimit()

    def __call__(self, limit_s: float) -> AbstractContextManager[None]:
        """Raise inside the block after `limit_s` seconds."""
        is_main = threading.current_thread() is threading.main_thread()
        return self._alarm(limit_s) if is_main else self._thread(limit_s)
