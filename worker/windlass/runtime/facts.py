"""Gathers what the supervisor has to know of a task, from the app: limits, acks, rate.

Next in the walk: `windlass.runtime.hand`, where it is used for each message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from windlass.continuations import FAIL_TASK
from windlass.run_spec import spec_of
from windlass.runtime.hand import Facts
from windlass.runtime.pacing import RunTime
from windlass.runtime.rates import TokenBucket
from windlass.runtime.state import WorkerState

if TYPE_CHECKING:
    from windlass.app import Windlass


class Describer:
    """Makes the facts of (queue, task); run time and rate are shared by the queues of a task.

    Args:
        app: Whose tasks and settings.
        state: Where the counts are kept.

    Attributes:
        buckets: Task -> its rate limit, None for no limit.
    """

    def __init__(self, app: Windlass, state: WorkerState) -> None:
        self._app = app
        self._state = state
        self._run_times: dict[str, RunTime] = {}
        self.buckets: dict[str, TokenBucket | None] = {}

    def __call__(self, queue: str, name: str) -> Facts:
        """Gather them. A task that is not registered gets facts that say so."""
        task = self._app.tasks.find(name)
        facts = Facts(name, is_known=task is not None or name == FAIL_TASK)
        facts.counts = self._state.counts_of(queue, name)
        if task is None:
            return facts
        settings = self._app.conf.current
        facts.run_time = self._run_times.setdefault(name, facts.run_time)
        if name not in self.buckets:
            self.buckets[name] = self._bucket(task)
        facts.bucket = self.buckets[name]
        spec = spec_of(task)
        facts.acks_early = _first(task.acks_late, settings.task_acks_late) is False
        facts.track_started = bool(_first(task.track_started, settings.task_track_started))
        facts.ignores_result = not spec.stores
        facts.stores_errors = spec.stores_errors
        facts.keeps_failed = spec.keeps_failed
        facts.hard_s = spec.hard_s
        return facts

    def _bucket(self, task: Any) -> TokenBucket | None:
        settings = self._app.conf.current
        if settings.worker_disable_rate_limits:
            return None
        if (task.rate_limit_scope or settings.task_rate_limit_scope) == "cluster":
            return None  # the broker holds to it
        return TokenBucket.of(_first(task.rate_limit, settings.task_default_rate_limit))


def _first(*values: Any) -> Any:
    """Return the first that is set: the task's own, then the worker's, then the app's."""
    return next((value for value in values if value is not None), None)
