"""Task loggers, as in `celery.utils.log`.

    from windlass.utils.log import get_task_logger
    logger = get_task_logger(__name__)

In a worker every record logged while a task runs carries the task's name and id, whichever logger
it came from: as keys in JSON and on the terminal, and as %(task_name)s and %(task_id)s in a
`worker_log_format` of one's own.
"""

from __future__ import annotations

import logging

from windlass import context

__all__ = ["get_logger", "get_task_logger", "running_task", "task_logger"]

#: Parent of every task logger: set its level to silence or to see all tasks.
task_logger = logging.getLogger("windlass.task")
_RESERVED = frozenset({"windlass", "windlass.task"})


def get_logger(name: str) -> logging.Logger:
    """Return the standard logger of this name."""
    return logging.getLogger(name)


def get_task_logger(name: str) -> logging.Logger:
    """Return a standard logger for tasks, a child of `windlass.task`.

    Args:
        name: Usually `__name__` of the module that defines the tasks.

    Raises:
        RuntimeError: The name is one of Windlass's own loggers.
    """
    if name in _RESERVED:
        message = f"Logger name {name!r} is reserved. Expected a name of your own, e.g. __name__."
        raise RuntimeError(message)
    logger = logging.getLogger(name)
    if not _is_below(logger, task_logger):
        logger.parent = task_logger
    return logger


def running_task() -> tuple[str, str] | None:
    """Return name and id of the task that runs in this thread or coroutine, None outside one."""
    request = context.sending_request()
    if request is None or request.id is None:
        return None
    return request.task or "", request.id


def _is_below(logger: logging.Logger, ancestor: logging.Logger) -> bool:
    parent: logging.Logger | None = logger
    while parent is not None:
        if parent is ancestor:
            return True
        parent = parent.parent
    return False
