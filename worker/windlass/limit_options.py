"""The limits that a task declares: are they sound, which of them does the broker hold to.

Only tasks with limits need this module. Next in the walk: `windlass.control_plane.limits`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windlass.argument_keys import KeyMaker
from windlass.errors import ConfigurationError, nearest
from windlass.rate_limits import rate_text

if TYPE_CHECKING:
    from windlass.settings.model import Settings
    from windlass.task import Task

SCOPES = ("cluster", "worker")
#: The most of anything at once: enough for any number of workers.
MOST = 1_000_000
_COUNTS = ("max_concurrency", "max_concurrency_per_key")
_COMING = "<a result to come>"
_OF_KEYS = ("max_concurrency_per_key", "fair_share")


def check_task(task: Task[..., Any]) -> None:
    """Check a task's limits when it is declared.

    Raises:
        ConfigurationError: A value is ill-typed, they do not go together, or the key names what
            is no argument of the task.
    """
    if task.rate_limit_scope not in (None, *SCOPES):
        hint = nearest(str(task.rate_limit_scope), SCOPES)
        text = f"rate_limit_scope={task.rate_limit_scope!r} is not known.{hint} Expected one of: "
        raise ConfigurationError(text + ", ".join(map(repr, SCOPES)) + ".")
    for name in _COUNTS:
        check_count(name, getattr(task, name))
    if task.fair_share not in (True, False):
        text = f"fair_share={task.fair_share!r}; expected True or False."
        raise ConfigurationError(text)
    wanted = [name for name in _OF_KEYS if getattr(task, name)]
    if wanted and task.limit_key is None:
        text = f"{wanted[0]} needs limit_key=, which says what the key of a call is: '{{user_id}}'."
        raise ConfigurationError(text)
    if task.limit_key is not None:
        if not wanted:
            text = "limit_key has no effect without max_concurrency_per_key= or fair_share=True."
            raise ConfigurationError(text)
        key_maker(task)
    if task.acks_late is False:
        _refuse_early(task)


def check_count(name: str, value: object) -> None:
    """Refuse what is no number of runs.

    Raises:
        ConfigurationError: It is neither None nor a whole number from 1 to `MOST`.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        text = (
            f"{name}={value!r}; expected a whole number from 1 to {MOST:,}, or None for no limit."
        )
        raise ConfigurationError(text)


def key_maker(task: Task[..., Any]) -> KeyMaker | None:
    """Return what computes the key of a task's calls, None for a task without one."""
    if task.limit_key is None:
        return None
    kept: KeyMaker | None = task.__dict__.get("_limit_keys")
    if kept is None:
        kept = KeyMaker.of(task.limit_key, inspect.signature(task.run), "limit_key")
        task.__dict__["_limit_keys"] = kept
    return kept


class _Coming:
    """Stands for a result that is not there yet: nothing can be made of it."""

    def _refuse(self, *_: object) -> Any:
        raise LookupError

    __str__ = __format__ = __getattr__ = __getitem__ = __iter__ = __eq__ = __hash__ = _refuse
    __bool__ = __len__ = __int__ = __float__ = _refuse

    def __repr__(self) -> str:
        return _COMING


def key_ahead(
    keys: KeyMaker, args: Sequence[Any], kwargs: Mapping[str, Any], *, is_fed: bool
) -> str | None:
    """Return the key of a step of a workflow.

    None where it depends on the result that the step is fed with: a worker computes it then.

    Raises:
        ValueError: All arguments are there, and have no key.
    """
    if not is_fed:
        return keys(args, kwargs) or ""
    try:
        key = keys((_Coming(), *args), kwargs) or ""
    except ValueError:
        return None
    return None if _COMING in key else key


def is_cluster_wide(task: Task[..., Any], settings: Settings) -> bool:
    """Whether the broker holds to the task's rate limit, and not each worker for itself."""
    return (task.rate_limit_scope or settings.task_rate_limit_scope) == "cluster"


def rate_of(task: Task[..., Any], settings: Settings) -> str | float | None:
    """Return the rate limit of a task: its own, or the one of all tasks."""
    return settings.task_default_rate_limit if task.rate_limit is None else task.rate_limit


def declared(task: Task[..., Any], settings: Settings) -> Mapping[str, Any]:
    """Return the limits that the broker is to hold to, by the names of `TaskLimits`.

    Raises:
        ConfigurationError: The settings acknowledge its messages at start, so that nobody knows
            how many run.
    """
    limits: dict[str, Any] = {}
    if not settings.worker_disable_rate_limits and is_cluster_wide(task, settings):
        limits["rate_limit"] = rate_text(rate_of(task, settings))
    limits |= {name: getattr(task, name) for name in (*_COUNTS, "fair_share")}
    limits["has_key"] = task.limit_key is not None
    if not task.acks_after_run(settings):
        _refuse_early(task)
    return {name: value for name, value in limits.items() if value}


def _refuse_early(task: Task[..., Any]) -> None:
    for name in _COUNTS:
        if getattr(task, name) is not None:
            text = (
                f"{name} does not go with acks_late=False: a message that is acknowledged at start "
                "is not counted while it runs. Leave acks_late unset, or use rate_limit."
            )
            raise ConfigurationError(text)
