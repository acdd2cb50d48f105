"""What a task class may override to be told of its runs, and who calls it.

The hooks run in the process that ran the task, before its outcome is committed: what they raise is
logged and changes nothing, except in before_start, whose error is the task's own.
Next in the walk: `windlass.runtime.executor`.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import Any

from windlass import events
from windlass.log import get_logger

_log = get_logger(__name__)


class ExceptionInfo:
    """An exception with its traceback as text (`einfo`), as hooks get it.

    Attributes:
        type: Class of the exception.
        exception: The exception.
        tb: Its traceback object.
        traceback: The traceback as text.
    """

    def __init__(self, error: BaseException) -> None:
        self.type = type(error)
        self.exception = error
        self.tb: TracebackType | None = error.__traceback__
        self.traceback = format_traceback(error)

    def __str__(self) -> str:
        return self.traceback

    def __repr__(self) -> str:
        return f"<ExceptionInfo: {self.exception!r}>"


def format_traceback(error: BaseException) -> str:
    """Return the traceback as text, without the engine's own frames at its top."""
    try:
        return "".join(traceback.format_exception(type(error), error, user_traceback(error)))
    except Exception as second:  # a user's __str__ or __repr__ may raise anything
        return f"{type(error).__qualname__} (its text raised {type(second).__qualname__})\n"


def user_traceback(error: BaseException) -> TracebackType | None:
    """Return the traceback from the first frame that is not the engine's."""
    tb = error.__traceback__
    while tb is not None and _is_ours(tb):
        tb = tb.tb_next
    return tb


def _is_ours(tb: TracebackType) -> bool:
    name: str = tb.tb_frame.f_globals.get("__name__", "")
    return name.partition(".")[0] == "windlass"


class Hooks:
    """The hooks of a task, under Celery's names. All do nothing unless overridden."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Called before each run. What it raises is the task's failure."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Called with the value the task returned."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo
    ) -> None:
        """Called with the exception that ended the task; not on a retry."""

    def on_retry(
        self, exc: BaseException | None, task_id: str, args: Any, kwargs: Any, einfo: ExceptionInfo
    ) -> None:
        """Called when the task will run again; `exc` is the Retry."""

    def after_return(  # Celery's signature
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Called last on success and failure, not on a retry; `retval` is the value or error."""


NAMES = ("before_start", "on_success", "on_failure", "on_retry", "after_return")


def overridden(task: Hooks) -> dict[str, Callable[..., None] | None]:
    """Return the hooks that a task has of its own, None for the others."""
    return {
        name: getattr(task, name)
        if name in vars(task) or getattr(type(task), name) is not getattr(Hooks, name)
        else None
        for name in NAMES
    }


def bind(task: object, hook: Any) -> Any:
    """Make a function given as a task's option a method of that task."""
    return MethodType(hook, task) if hasattr(hook, "__get__") else hook


def run_hook(hook: Callable[..., None] | None, task_name: str, *args: Any) -> None:
    """Call a hook if there is one; what it raises is logged."""
    if hook is None:
        return
    try:
        hook(*args)
    except Exception:
        name = getattr(hook, "__name__", repr(hook))
        _log.error(events.TASK_HOOK_FAILED, exc_info=sys.exc_info(), task=task_name, hook=name)
