"""What the log says of a task's run. Facts are made only where the level is on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from windlass import events
from windlass.context import PendingReplacement
from windlass.errors import Reject, Retry
from windlass.hooks import user_traceback
from windlass.log import get_logger

if TYPE_CHECKING:
    from windlass.runtime.executor import Run

_log = get_logger("windlass.tasks")
_is_on = _log.is_on
_INFO = logging.INFO


def succeeded(run: Run, value: Any) -> None:
    """Log a success."""
    if _is_on(_INFO):
        _log.info(events.TASK_SUCCEEDED, **_facts(run), result=_short(run, value))


def failed(run: Run, error: BaseException) -> None:
    """Log a failure: expected ones (`throws`) without a traceback."""
    if isinstance(error, tuple(run.task.throws)):
        _log.info(events.TASK_FAILED, **_facts(run), error=_short(run, error))
        return
    exc_info = (type(error), error, user_traceback(error))
    _log.error(events.TASK_FAILED, exc_info=exc_info, **_facts(run), error=_short(run, error))


def retried(run: Run, retry: Retry) -> None:
    """Log a retry."""
    if _is_on(_INFO):
        cause = _short(run, retry.exc)
        _log.info(events.TASK_RETRIED, **_facts(run), when=retry.humanize(), error=cause)


def replaced(run: Run, pending: PendingReplacement) -> None:
    """Log that another task took the place."""
    if _is_on(_INFO):
        _log.info(events.TASK_RETRIED, **_facts(run), replaced_by=repr(pending.signature))


def ignored(run: Run) -> None:
    """Log Ignore."""
    if _is_on(_INFO):
        _log.info(events.TASK_IGNORED, **_facts(run))


def rejected(run: Run, error: Reject) -> None:
    """Log Reject."""
    name = events.TASK_HANDED_BACK if error.requeue else events.TASK_DEAD_LETTERED
    _log.warning(name, **_facts(run), reason=_short(run, error.reason))


def expired(run: Run) -> None:
    """Log that a message came too late."""
    if _is_on(_INFO):
        _log.info(events.TASK_REVOKED, **_facts(run), reason="expired")


def _facts(run: Run) -> dict[str, Any]:
    return {
        "task": run.request.shadow or run.task.name,
        "message_id": run.message.id,
        "queue": run.request.queue,
        "retries": run.request.retries or None,
    }


def _short(run: Run, value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a user's __repr__ may raise anything
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
    limit = run.task.resultrepr_maxsize
    return text if len(text) <= limit else text[: limit - 1] + "…"
