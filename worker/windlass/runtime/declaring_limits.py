"""Tells the broker, before the first fetch, what this worker's tasks may use.

Next in the walk: `windlass.control_plane.limits`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from windlass import events
from windlass import log as logs
from windlass.brokers.base import Capability
from windlass.brokers.capabilities import require

if TYPE_CHECKING:
    from windlass.app import Windlass

log = logs.get_logger(__name__)

#: Task -> its limits, by the names of `windlass.control_plane.limits.TaskLimits`.
Declared = Mapping[str, Mapping[str, Any]]


def declared_limits(app: Windlass) -> Declared:
    """Return the limits that tasks of an app declare.

    Raises:
        ConfigurationError: Limits that cannot be held to, on this broker or with these settings.
    """
    settings = app.conf.current
    has_rate = settings.task_default_rate_limit is not None
    limited = [
        task
        for task in app.tasks.values()
        if has_rate or task.rate_limit is not None or task.has_limits
    ]
    if not limited:
        return {}
    # Most workers have no limits, and need not know of them.
    from windlass import limit_options  # noqa: PLC0415

    found = {task.name: limit_options.declared(task, settings) for task in limited}
    if any(found.values()):
        require(app.broker, (Capability.LIMITS,), "A limit that all workers share")
    return {name: limits for name, limits in found.items() if limits}


def declaration(app: Windlass, broker: Any, limits: Declared) -> Callable[[], None]:
    """Return what tells the broker; safe to repeat.

    Args:
        app: Of which all tasks are declared: those without limits have none any more.
        broker: Of the thread that will call it.
        limits: See `declared_limits`.
    """

    def declare() -> None:
        if not limits and not broker.has_limits():
            return
        from windlass.control_plane.limits import TaskLimits, declare_limits  # noqa: PLC0415

        every = {name: TaskLimits(**limits.get(name, {})) for name in app.tasks}
        if changed := declare_limits(broker, every):
            log.info(events.LIMITS_DECLARED, tasks=changed)

    return declare
