"""The guard against waiting for a task inside a task, which deadlocks when every slot does it.

As in Celery, waiting inside a task is a RuntimeError unless it is allowed by name. What runs
eagerly, in the caller's own process, may wait: what it waits for has already run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from windlass import context

#: True, False: decided by a block; None: by whether a task runs here.
_denied: ContextVar[bool | None] = ContextVar("windlass_join_denied", default=None)
_awaiting_allowed: ContextVar[bool] = ContextVar("windlass_await_allowed", default=False)


@contextmanager
def allow_join_result() -> Iterator[None]:
    """Allow waiting for results inside a task, in this block."""
    token = _denied.set(False)
    try:
        yield
    finally:
        _denied.reset(token)


@contextmanager
def denied_join_result() -> Iterator[None]:
    """Refuse waiting for results in this block, even outside of tasks."""
    token = _denied.set(True)
    try:
        yield
    finally:
        _denied.reset(token)


def allow_awaiting() -> None:
    """Let tasks of this thread's context `await` results: for pools where that blocks no slot."""
    _awaiting_allowed.set(True)


def join_will_block() -> bool:
    """Whether waiting here is refused."""
    denied = _denied.get()
    return _inside_a_task() if denied is None else denied


def assert_will_not_block() -> None:
    """Refuse to wait inside a task.

    Raises:
        RuntimeError: A task runs here and `allow_join_result` does not surround the call.
    """
    if join_will_block():
        raise _would_block("result.get()")


def assert_may_await() -> None:
    """As `assert_will_not_block`, for `await result`, which the asyncio pool allows.

    Raises:
        RuntimeError: A task of another pool runs here.
    """
    if join_will_block() and not (_denied.get() is None and _awaiting_allowed.get()):
        raise _would_block("await result")


def _inside_a_task() -> bool:
    frame = context.current_frame()
    while frame is not None:
        if not frame.request.called_directly and not frame.request.is_eager:
            return True
        frame = frame.below
    return False


def _would_block(call: str) -> RuntimeError:
    return RuntimeError(
        f"Never call {call} within a task: it holds a slot while the other task waits for one, and "
        "when every slot does so nothing runs any more. Use link= or a retry instead, or wrap the "
        "call in `with allow_join_result():` where free slots are certain."
    )
