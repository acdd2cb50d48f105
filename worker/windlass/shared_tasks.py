"""`shared_task`: tasks that belong to whichever app is current, and that every app adopts.

A shared task is an ordinary task without an app of its own. Calls of it go through the current
app (`windlass.shared`); a worker of any app runs its own copy of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from windlass.naming import task_name
from windlass.registry import home_of
from windlass.task import Task, build_task

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """What `shared_task` or `app.task(shared=True)` declared.

    Attributes:
        fun: The function.
        base: Base class of the task, None for the app's.
        options: As given; without a name the task is named after the function.
    """

    fun: Callable[..., Any]
    base: type[Task[..., Any]] | None
    options: Mapping[str, Any]


class Declarations:
    """All shared tasks of the process, in the order they were declared."""

    def __init__(self) -> None:
        self._by_home: dict[str, Declaration] = {}
        self._lock = threading.Lock()
        #: Grows with every declaration: tells an app that there is something to adopt.
        self.generation = 0

    def add(
        self,
        fun: Callable[..., Any],
        base: type[Task[..., Any]] | None,
        options: Mapping[str, Any],
    ) -> Declaration:
        """Remember a declaration; the same function again (a module reload) replaces it."""
        declaration = Declaration(fun, base, options)
        with self._lock:
            self._by_home[home_of(fun)] = declaration
            self.generation += 1
        return declaration

    def all(self) -> list[Declaration]:
        """Return the declarations."""
        with self._lock:
            return list(self._by_home.values())


declarations = Declarations()


@overload
def shared_task(fun: Callable[P, R], /, **options: Any) -> Task[P, R]: ...
@overload
def shared_task(
    fun: None = None, /, *, bind: Literal[True], **options: Any
) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
@overload
def shared_task(
    fun: None = None, /, *, bind: Literal[False] = False, **options: Any
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def shared_task(fun: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Declare a task that every app has; calls of it go through the current app.

    Takes the options of `Windlass.task`, with and without parentheses.
    """
    base = options.pop("base", None)

    def declare(function: Callable[..., Any]) -> Task[..., Any]:
        declarations.add(function, base, options)
        name = options.get("name") or task_name(None, function.__name__, function.__module__)
        return build_task(None, function, base, {**options, "name": name})

    return declare if fun is None else declare(fun)
