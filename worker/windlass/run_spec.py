"""What the options of a task and the settings say of each of its runs, worked out once.

Next in the walk: `windlass.runtime.executor`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from windlass import hooks
from windlass.retries import RetryPolicy

if TYPE_CHECKING:
    from windlass.annotated_values import AnnotatedCoder
    from windlass.argument_keys import KeyMaker
    from windlass.pydantic_arguments import ModelCoder
    from windlass.settings.model import Settings
    from windlass.task import Task


_ENGINE = "windlass.task"


class RunSpec:
    """How a task runs. Valid while `settings` is what its app has.

    Attributes:
        run: What is called with the arguments.
        is_async: It returns a coroutine.
        own_call: The class has a `__call__` of its own, which `run` is.
        is_prepared: Something comes before `run`: a hook, models, or a `__call__`.
        results_on: There is a result backend.
        stores: Its outcomes are stored, unless a call says otherwise.
        stores_errors: Its failures are stored, unless a call says otherwise.
        keeps_errors: Failures are stored even where the outcome is ignored.
        keeps_failed: A message whose task fails for good becomes a dead letter.
        keys: Makes the keys by which limits count its messages; None: they have none.
        hard_s: Hard time limit in seconds, None for none.
        soft_s: Soft time limit in seconds, None for none.
    """

    __slots__ = (
        "after_return",
        "before_start",
        "hard_s",
        "is_async",
        "is_prepared",
        "keeps_errors",
        "keeps_failed",
        "keys",
        "max_bytes",
        "models",
        "on_failure",
        "on_retry",
        "on_success",
        "own_call",
        "policy",
        "results_on",
        "run",
        "serializer",
        "settings",
        "soft_s",
        "stores",
        "stores_errors",
    )

    run: Callable[..., Any]
    models: ModelCoder | AnnotatedCoder | None
    before_start: Callable[..., None] | None
    on_success: Callable[..., None] | None
    on_failure: Callable[..., None] | None
    on_retry: Callable[..., None] | None
    after_return: Callable[..., None] | None

    def __init__(self, task: Task[..., Any], settings: Settings) -> None:
        self.settings = settings
        self.own_call = type(task).__call__.__module__ != _ENGINE
        self.run = task if self.own_call else task.run
        self.is_async = inspect.iscoroutinefunction(task.run)
        self.models = task.models
        self.policy: RetryPolicy = task.retry_policy
        self.serializer: str = settings.result_serializer
        self.max_bytes: int = settings.result_max_size_bytes
        self.keeps_failed: bool = task.dead_letter_on_failure
        self.keys: KeyMaker | None = None
        if task.limit_key is not None:
            # Few tasks have limits.
            from windlass.limit_options import key_maker  # noqa: PLC0415

            self.keys = key_maker(task)
        self._set_storing(task, settings)
        self.hard_s = _limit(task.time_limit, settings.task_time_limit)
        self.soft_s = _limit(task.soft_time_limit, settings.task_soft_time_limit)
        for name, hook in hooks.overridden(task).items():
            setattr(self, name, hook)
        self.is_prepared = bool(self.before_start or self.models or self.own_call)

    def _set_storing(self, task: Task[..., Any], settings: Settings) -> None:
        self.results_on: bool = settings.results_enabled
        ignored = _either(task.ignore_result, settings.task_ignore_result)
        self.keeps_errors = _either(
            task.store_errors_even_if_ignored, settings.task_store_errors_even_if_ignored
        )
        self.stores = self.results_on and not ignored
        self.stores_errors = self.results_on and (self.keeps_errors or not ignored)


def spec_of(task: Task[..., Any]) -> RunSpec:
    """Return the spec of a task, kept on the task until its options or the settings change."""
    settings = task.app.conf.current
    kept: RunSpec | None = task.__dict__.get("_spec")
    if kept is not None and kept.settings is settings:
        return kept
    spec = RunSpec(task, settings)
    task.__dict__["_spec"] = spec
    return spec


def spec_under(task: Task[..., Any], settings: Settings) -> RunSpec:
    """As `spec_of`, for who has the settings of the task's app at hand as they are now."""
    kept: RunSpec | None = task.__dict__.get("_spec")
    return kept if kept is not None and kept.settings is settings else spec_of(task)


def _either(own: bool | None, default: bool) -> bool:
    return default if own is None else own


def _limit(own: float | None, default: float | None) -> float | None:
    return (default if own is None else own) or None
