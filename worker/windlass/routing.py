"""Which queue a call goes to, and which queues a worker serves. Pure.

`task_routes` is a mapping (exact name, then globs and compiled patterns in the order given), a
function `(name, args, kwargs, options, task=None) -> queue | options | None`, a dotted path to
one, or a list of these: the first that knows the task decides. What a call or the task itself says
wins over every route. Next in the walk: `windlass.sending`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from windlass import call_options
from windlass.errors import ConfigurationError, QueueNotDeclared
from windlass.messages import check_queue_name
from windlass.settings.sources import load_object

if TYPE_CHECKING:
    from windlass.settings.model import Settings

#: name, args, kwargs, options, task=None -> a queue name, a mapping of options, or None.
FunctionRouter = Callable[..., Any]
_NO_OPTIONS: Mapping[str, Any] = {}
_CACHE_SIZE = 4096  # names that are sent but not registered could be without end


class Route(NamedTuple):
    """Where a call goes.

    Attributes:
        queue: Name of the queue.
        priority: 0 to 9 if the call or a route says so.
        options: What else the route says: options that the call's own ones win over.
    """

    queue: str
    priority: int | None
    options: Mapping[str, Any]


class _Table:
    """One mapping of `task_routes`, compiled."""

    def __init__(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        self._exact: dict[str, Mapping[str, Any]] = {}
        self._patterns: list[tuple[re.Pattern[str], Mapping[str, Any]]] = []
        for key, value in pairs:
            target = _target(value, f"task_routes[{key!r}]")
            if isinstance(key, re.Pattern):
                self._patterns.append((key, target))
            elif isinstance(key, str) and any(mark in key for mark in "*?["):
                self._patterns.append((re.compile(fnmatch.translate(key)), target))
            elif isinstance(key, str):
                self._exact[key] = target
            else:
                raise _ill_typed(f"task_routes key {key!r}", "a task name, a glob or a pattern")

    def find(self, name: str) -> Mapping[str, Any] | None:
        found = self._exact.get(name)
        if found is not None:
            return found
        return next((target for pattern, target in self._patterns if pattern.match(name)), None)


class Router:
    """Decides by `task_routes`. Built from one frozen `Settings`.

    Raises:
        ConfigurationError: A route is ill-typed, or asks for what does not exist here.
    """

    def __init__(self, settings: Settings) -> None:
        self._default_queue = settings.task_default_queue
        self._declared = None if settings.task_create_missing_queues else declared_queues(settings)
        self._steps = _compile(settings.task_routes)
        self._known: dict[str, tuple[Mapping[str, Any] | None, bool]] = {}

    def route(
        self,
        name: str,
        options: Mapping[str, Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        task: object = None,
    ) -> Route:
        """Return where a call goes.

        Args:
            name: Name of the task.
            options: Of the call and of the task; their queue and priority win.
            args: Positional arguments of the call, for function routers.
            kwargs: Keyword arguments of the call, for function routers.
            task: The task if it is known here, for function routers.

        Raises:
            QueueNotDeclared: task_create_missing_queues is off and task_queues lacks the queue.
            ConfigurationError: A function router returned something else than a route.
        """
        found, depends = self._look_up(name)
        if depends:
            found = self._ask(name, options, args, kwargs or {}, task)
        target = found or _NO_OPTIONS
        queue = _queue_of(options.get("queue")) or target.get("queue") or self._default_queue
        if self._declared is not None and queue not in self._declared:
            raise QueueNotDeclared(queue, self._declared, task=name)
        priority = options.get("priority")
        return Route(queue, target.get("priority") if priority is None else priority, target)

    def depends_on_call(self, name: str) -> bool:
        """Whether a function has a say in where calls of this task go."""
        return self._look_up(name)[1]

    def _look_up(self, name: str) -> tuple[Mapping[str, Any] | None, bool]:
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            known = self._known[name] = self._static(name)
        return known

    def _static(self, name: str) -> tuple[Mapping[str, Any] | None, bool]:
        for step in self._steps:
            if not isinstance(step, _Table):
                return None, True
            found = step.find(name)
            if found is not None:
                return found, False
        return None, False

    def _ask(
        self,
        name: str,
        options: Mapping[str, Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        task: object,
    ) -> Mapping[str, Any] | None:
        for step in self._steps:
            if isinstance(step, _Table):
                found = step.find(name)
            else:
                answer = step(name, args, kwargs, dict(options), task=task)
                where = f"the route that {_describe(step)} gave for {name!r}"
                found = None if answer is None else _target(answer, where)
            if found is not None:
                return found
        return None


def declared_queues(settings: Settings) -> tuple[str, ...]:
    """Return the queues that the settings name: task_queues, else the default queue alone."""
    return settings.task_queues or (settings.task_default_queue,)


def consumed_queues(
    settings: Settings, select: Sequence[str] = (), exclude: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the queues a worker serves, in order and without repeats.

    Args:
        settings: Names the queues that are served when `select` is empty.
        select: -Q.
        exclude: -X.

    Raises:
        InvalidQueueName: A name has characters that keys and flags cannot carry.
        QueueNotDeclared: task_create_missing_queues is off and task_queues lacks a selected one.
        ConfigurationError: Nothing is left to serve.
    """
    declared = declared_queues(settings)
    chosen = dict.fromkeys(check_queue_name(name) for name in (select or declared))
    if not settings.task_create_missing_queues:
        for name in chosen:
            if name not in declared:
                raise QueueNotDeclared(name, declared)
    left = tuple(name for name in chosen if name not in exclude)
    if not left:
        msg = (
            f"No queue is left to serve: -X excludes {', '.join(chosen)}. Expected at least one; "
            "name others with -Q."
        )
        raise ConfigurationError(msg)
    return left


def _compile(routes: Any) -> tuple[_Table | FunctionRouter, ...]:
    if routes is None:
        return ()
    parts = routes if isinstance(routes, list | tuple) else (routes,)
    if parts and all(_is_pair(part) for part in parts):
        return (_Table(parts),)  # one mapping, written as a list of pairs to keep its order
    return tuple(_step(part) for part in parts)


def _is_pair(part: Any) -> bool:
    return (
        isinstance(part, list | tuple)
        and len(part) == 2
        and isinstance(part[0], str | re.Pattern)
        and isinstance(part[1], str | Mapping)
    )


def _step(part: Any) -> _Table | FunctionRouter:
    if isinstance(part, str):
        part = load_object(part)
    if isinstance(part, Mapping):
        return _Table(part.items())
    if isinstance(part, list | tuple) and all(_is_pair(pair) for pair in part):
        return _Table(part)
    if callable(getattr(part, "route_for_task", None)):
        return _old_style(part)
    if callable(part):
        router: FunctionRouter = part
        return router
    raise _ill_typed(f"task_routes has {part!r}", "a mapping, pairs, a function or a path to one")


def _old_style(router: Any) -> FunctionRouter:
    def ask(name: str, args: Any, kwargs: Any, options: Any, task: Any = None) -> Any:
        return router.route_for_task(name, args, kwargs)

    return ask


def _target(value: Any, where: str) -> Mapping[str, Any]:
    """Check what a route says and return it as options, the queue as a plain name."""
    if isinstance(value, str):
        return {"queue": check_queue_name(value)}
    if not isinstance(value, Mapping):
        raise _ill_typed(f"{where} is {value!r}", "a queue name or a mapping of options")
    options = {key: item for key, item in value.items() if item is not None}
    try:
        call_options.check_known(options)
    except TypeError as error:
        msg = f"{where}: {error}"
        raise ConfigurationError(msg) from error
    queue = _queue_of(options.get("queue"))
    for name in ("exchange", "routing_key"):
        # With a queue beside it, it says the same once more; alone it names what is not here.
        stray = options.pop(name, None)
        if stray is not None and queue is None:
            msg = (
                f"{where} has {name}={stray!r} and no queue. Queues are addressed by name and "
                f"nothing binds them: write {{'queue': {stray!r}}}."
            )
            raise ConfigurationError(msg)
    if queue is not None:
        options["queue"] = check_queue_name(queue)
    return options


def _queue_of(queue: Any) -> Any:
    """Return the name of a queue that may be an object with one (kombu's Queue)."""
    return queue if isinstance(queue, str) else getattr(queue, "name", queue)


def _describe(router: FunctionRouter) -> str:
    return getattr(router, "__qualname__", None) or type(router).__qualname__


def _ill_typed(what: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{what}; expected {expected}.")
