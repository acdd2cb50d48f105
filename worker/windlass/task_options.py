"""The options of a task: names, defaults, meanings. They are class attributes of `Task`.

Set them in the decorator (`@app.task(max_retries=5)`), on a base class, or on a task later.
Next in the walk: `windlass.task`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from windlass import hooks
from windlass.call_options import (
    OnDuplicate,
    UniqueUntil,
    check_address,
    check_priority,
    seconds,
)
from windlass.errors import ConfigurationError, nearest
from windlass.messages import check_queue_name
from windlass.rate_limits import parse_rate
from windlass.retries import DEFAULT_BACKOFF_MAX_S, DEFAULT_DELAY_S, DEFAULT_MAX_RETRIES
from windlass.serializers import registry
from windlass.serializers.compression import encoding_named

#: Names of app settings that are often given as a task's option, and the option meant.
_ALIASES = {"task_time_limit": "time_limit", "task_soft_time_limit": "soft_time_limit"}
#: Options of `Task.retry` beside its own parameters.
_RETRY_OPTIONS = frozenset(
    {
        "queue",
        "routing_key",
        "exchange",
        "priority",
        "expires",
        "serializer",
        "headers",
        "time_limit",
        "soft_time_limit",
        "ignore_result",
        "shadow",
    }
)


class TaskOptions:
    """Options of a task, each with Celery's name and default. None takes the app's setting.

    Attributes:
        name: Name it is sent under; "module.function" if left out.
        bind: The function's first argument is the task, for `self.request` and `self.retry`.
        typing: Check a call's arguments against the signature in the caller.
        max_retries: Retries after the first run, so 3 allows 4 runs; None is for ever.
        default_retry_delay: Seconds before a retry that names no delay.
        autoretry_for: Exceptions that retry the task by themselves.
        dont_autoretry_for: Exceptions among those that do not.
        retry_kwargs: Arguments of automatic retries (max_retries, countdown).
        retry_backoff: True or a factor in seconds: automatic retries after 1, 2, 4, … times it.
        retry_backoff_max: Longest delay of the backoff, seconds.
        retry_jitter: Draw each backoff delay from 0 to its value.
        ignore_result: Store no outcome.
        store_errors_even_if_ignored: Store failures in spite of ignore_result.
        track_started: Store STARTED when a run begins (one more broker call).
        acks_late: None, True: acknowledged with the outcome, a crash runs it again. False:
            acknowledged at start, a crash is a FAILURE with WorkerLostError.
        acks_on_failure_or_timeout: Accepted for Celery's sake; an outcome always acknowledges.
        reject_on_worker_lost: Accepted for Celery's sake; see acks_late and max_deliveries.
        dead_letter_on_failure: A call that fails for good (no retries, or no more of them) leaves
            its message as a dead letter, to be replayed; its outcome is FAILURE all the same. A
            queue's record can say so for all its tasks (dead_failed).
        time_limit: Hard limit of a run, seconds: its process is killed.
        soft_time_limit: Soft limit of a run, seconds: SoftTimeLimitExceeded is raised in it.
        rate_limit: "10/s", "100/m", "5/h": so many may begin, of all workers together.
        rate_limit_scope: "cluster" (all workers together), or "worker" (each for itself, as
            Celery's). None takes the setting task_rate_limit_scope.
        max_concurrency: So many run at once, on all workers together.
        limit_key: What the key of a call is, for the two that follow: a template ("{0}",
            "{user_id}"), names of parameters, or a function of the arguments (None: no key).
        max_concurrency_per_key: So many of one key run at once, on all workers together.
        fair_share: Keys take turns: one with much to do delays another's by one at most.
        queue: Queue of its calls; goes before task_routes.
        priority: 0 to 9, higher is sooner.
        serializer: Of its arguments: "json", "msgpack", "pickle".
        compression: Of its messages: "zlib" or "zstd".
        expires: Seconds (or a time) after which a call that has not begun is REVOKED.
        unique: A call is not sent beside another with the same key: one that waits ("queued"), has
            never been started ("started"), or has not ended ("done", True).
        unique_for: The same for so many seconds after a call was sent, whatever becomes of it.
        unique_key: What makes two calls the same; all arguments if left out. A template ("{0}",
            "{user_id}"), names of parameters, or a function of the arguments (None: no key).
        on_duplicate: What becomes of a call that is not sent: "return" the handle of the one that
            is there, "reject" it with DuplicateTaskError, "replace" the one that waits.
        debounce: Calls with the same key are one run, so many seconds after the last of them.
        debounce_max_wait: It waits no longer than so many seconds after the first of them.
        throttle: Calls with the same key run once in so many seconds at most: the first at once,
            those that follow as one, with the arguments of the last.
        throws: Exceptions that are expected: logged at INFO without a traceback.
        trail: Record the tasks it sends as its children.
        pydantic: Validate arguments by their annotations, and dump models in the result.
        pydantic_strict: Do not convert between types.
        pydantic_context: Context for validators.
        pydantic_dump_kwargs: Arguments for model_dump of results.
        resultrepr_maxsize: Longest value or error in a log line, characters.
    """

    name: str = ""
    bind: bool = False
    typing: bool = True
    max_retries: int | None = DEFAULT_MAX_RETRIES
    default_retry_delay: float = DEFAULT_DELAY_S
    autoretry_for: Any = ()  # an exception class or several
    dont_autoretry_for: Any = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = DEFAULT_BACKOFF_MAX_S
    retry_jitter: bool = True
    ignore_result: bool | None = None
    store_errors_even_if_ignored: bool | None = None
    track_started: bool | None = None
    acks_late: bool | None = None
    acks_on_failure_or_timeout: bool | None = None
    reject_on_worker_lost: bool | None = None
    dead_letter_on_failure: bool = False
    time_limit: float | None = None
    soft_time_limit: float | None = None
    rate_limit: str | float | None = None
    rate_limit_scope: Literal["cluster", "worker"] | None = None
    max_concurrency: int | None = None
    limit_key: Any = None  # windlass.argument_keys.KeySpec, as unique_key
    max_concurrency_per_key: int | None = None
    fair_share: bool = False
    queue: str | None = None
    priority: int | None = None
    serializer: str | None = None
    compression: str | None = None
    expires: float | datetime | None = None
    unique: UniqueUntil | bool | None = None
    unique_for: float | timedelta | None = None
    unique_key: Any = None  # windlass.argument_keys.KeySpec; a function in it would become a method
    on_duplicate: OnDuplicate | None = None
    debounce: float | timedelta | None = None
    debounce_max_wait: float | timedelta | None = None
    throttle: float | timedelta | None = None
    throws: Sequence[type[BaseException]] = ()
    trail: bool = True
    pydantic: bool = False
    pydantic_strict: bool = False
    pydantic_context: Mapping[str, Any] | None = None
    pydantic_dump_kwargs: Mapping[str, Any] | None = None
    resultrepr_maxsize: int = 1024

    def set_options(self, options: Mapping[str, Any]) -> None:
        """Set options as the decorator takes them; also attributes that the class declares.

        Raises:
            TypeError: An option is unknown.
            ConfigurationError: A value is ill-typed.
        """
        for given, value in options.items():
            name = _ALIASES.get(given, given)
            if name != given:
                text = f"The task option is {name!r}; {given!r} is the app's setting."
                warnings.warn(text, DeprecationWarning, stacklevel=4)
            self._check_known(name, value)
            setattr(self, name, hooks.bind(self, value) if name in hooks.NAMES else value)
        self.check_options()

    def _check_known(self, name: str, value: object) -> None:
        if hasattr(type(self), name):
            return
        if name in ("exchange", "routing_key"):
            check_address({name: value})
            return
        known = (known for known in TaskOptions.__annotations__)
        text = (
            f"{name!r} is not an option of a task.{nearest(name, known)} To have an attribute of "
            "your own, declare it on a base class and pass base=."
        )
        raise TypeError(text)

    def check_options(self) -> None:
        """Check the values that can be checked without an app.

        Raises:
            ConfigurationError: A value is ill-typed; the text names the option.
        """
        checks: dict[str, Callable[[Any], object]] = {
            "rate_limit": parse_rate,
            "queue": check_queue_name,
            "priority": check_priority,
            "serializer": registry.serializer_named,
            "compression": encoding_named,
            "time_limit": lambda value: seconds("time_limit", value),
            "soft_time_limit": lambda value: seconds("soft_time_limit", value),
        }
        for name, check in checks.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                check(value)
            except (TypeError, ValueError) as error:
                text = f"Task option {name}={value!r}: {error}"
                raise ConfigurationError(text) from error
        self._check_unique()
        if self.has_limits:
            self._check_limits()

    @property
    def has_limits(self) -> bool:
        """Whether it has limits that all workers share, or says anything of such."""
        return bool(
            self.max_concurrency is not None
            or self.limit_key is not None
            or self.max_concurrency_per_key is not None
            or self.fair_share
            or self.rate_limit_scope is not None
        )

    def _check_limits(self: Any) -> None:  # a Task: this class is mixed into it
        # Few tasks have limits.
        from windlass.limit_options import check_task  # noqa: PLC0415

        try:
            check_task(self)
        except ConfigurationError as error:
            text = f"Task {self.name!r}: {error}"
            raise ConfigurationError(text) from error

    @property
    def is_unique(self) -> bool:
        """Whether its calls have locks, or may have."""
        return bool(
            self.unique
            or self.unique_for is not None
            or self.debounce is not None
            or self.throttle is not None
        )

    def _check_unique(self: Any) -> None:  # a Task: this class is mixed into it
        has_more = self.unique_key or self.on_duplicate or self.debounce_max_wait
        if not (self.is_unique or has_more):
            return
        # Few tasks are unique.
        from windlass.uniqueness import check_task  # noqa: PLC0415

        try:
            check_task(self)
        except ConfigurationError as error:
            text = f"Task {self.name!r}: {error}"
            raise ConfigurationError(text) from error


def check_retry_options(options: Mapping[str, Any]) -> None:
    """Refuse options that a retry cannot honour.

    Raises:
        TypeError: An option is unknown, or cannot change between the runs of one task.
    """
    for name in options.keys() - _RETRY_OPTIONS:
        text = f"{name!r} is not an option of retry().{nearest(name, _RETRY_OPTIONS)}"
        raise TypeError(text)
    check_address(options)
