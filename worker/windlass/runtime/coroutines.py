"""Runs `async def` tasks: to the end from synchronous pools, and with soft limits in any.

A soft limit must be raised inside the task, where the task can catch it. While the coroutine waits,
a timer of the loop interrupts its await; while it runs, the pool's own way of interrupting code
does. Only what belongs to a coroutine with a limit pays for this.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractContextManager
from time import monotonic
from typing import Any, TypeVar

from windlass.errors import SoftTimeLimitExceeded

T = TypeVar("T")
#: A pool's soft limit: interrupts the block after so many seconds.
SoftLimit = Callable[[float], AbstractContextManager[None]]


class _LimitAtAwait(SoftTimeLimitExceeded, asyncio.CancelledError):
    """The limit as an await sees it: a cancellation too, so that a TaskGroup ends its tasks."""


# What is stored of it has to name the public class.
_LimitAtAwait.__qualname__ = SoftTimeLimitExceeded.__qualname__
_LimitAtAwait.__module__ = SoftTimeLimitExceeded.__module__


class LimitedCoroutine(Coroutine[Any, Any, T]):
    """A coroutine in which SoftTimeLimitExceeded is raised, once, when its time has passed.

    Args:
        inner: The task's own coroutine.
        limit_s: Seconds from its first step.
        interrupt: The pool's soft limit, for code that does not wait.
    """

    def __init__(
        self, inner: Coroutine[Any, Any, T], limit_s: float, interrupt: SoftLimit | None
    ) -> None:
        self._inner = inner
        self._limit_s = limit_s
        self._interrupt = interrupt
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_due = False  # the timer has cancelled the await: to be told to the task
        self._is_spent = False  # the limit was raised

    def __await__(self) -> Generator[Any, Any, T]:
        return self  # it has a generator's methods

    def __iter__(self) -> LimitedCoroutine[T]:
        return self

    def __next__(self) -> Any:  # whatever the task waits for
        return self.send(None)

    def send(self, value: Any) -> Any:  # of the loop's protocol
        """Run the task up to its next await."""
        if self._deadline is None:
            self._start()
        return self._step(self._inner.send, value)

    def throw(self, error: Any, value: Any = None, traceback: Any = None) -> Any:
        """Raise inside the task; the timer's cancellation arrives as the limit's error."""
        raised = error if isinstance(error, BaseException) else value or error()
        if self._is_due and isinstance(raised, asyncio.CancelledError) and self._task is not None:
            self._is_due = False
            self._is_spent = True
            self._task.uncancel()
            raised = _LimitAtAwait(self._limit_s)
        return self._step(self._inner.throw, raised)

    def close(self) -> None:
        """End the coroutine where it stands."""
        self._stop_timer()
        self._inner.close()

    def _start(self) -> None:
        self._deadline = monotonic() + self._limit_s
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._on_time)

    def _on_time(self) -> None:
        if not self._is_spent and self._task is not None and not self._task.done():
            self._is_due = True
            self._task.cancel()

    def _step(self, advance: Callable[[Any], Any], value: Any) -> Any:
        deadline = self._deadline or 0.0
        left_s = deadline - monotonic()
        try:
            if self._interrupt is None or self._is_spent or left_s <= 0:
                return advance(value)
            try:
                with self._interrupt(left_s):
                    return advance(value)
            finally:
                self._is_spent = monotonic() >= deadline  # then it was raised in this step
        except _LimitAtAwait as error:
            # A CancelledError that leaves a coroutine would end its asyncio.Task as cancelled.
            self._stop_timer()
            plain = SoftTimeLimitExceeded(self._limit_s)
            raise plain.with_traceback(error.__traceback__) from error.__cause__
        except BaseException:  # also StopIteration, which is how a coroutine returns
            self._stop_timer()
            raise

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class LoopRunner:
    """Runs coroutines from code that has no event loop: one private loop for each thread.

    The loop is kept between tasks, so what a task opens on it (a connection pool, say) can be used
    by the next.
    """

    def __init__(self) -> None:
        self._local = threading.local()
        self._loops: list[asyncio.AbstractEventLoop] = []
        weakref.finalize(self, _close_all, self._loops)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its value, or raise what it raised."""
        loop: asyncio.AbstractEventLoop | None = getattr(self._local, "loop", None)
        if loop is None or loop.is_closed():
            loop = self._local.loop = asyncio.new_event_loop()
            self._loops.append(loop)
        return loop.run_until_complete(loop.create_task(coroutine))

    def close(self) -> None:
        """Close the loops; none may be running."""
        _close_all(self._loops)


def _close_all(loops: list[asyncio.AbstractEventLoop]) -> None:
    while loops:
        loop = loops.pop()
        if not loop.is_running():
            loop.close()
