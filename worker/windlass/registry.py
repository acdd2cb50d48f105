"""Tasks by name. Next in the walk: `windlass.task`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from windlass.errors import AlreadyRegistered, NotRegistered

if TYPE_CHECKING:
    from windlass.task import Task

#: How the names of the engine's own tasks begin.
_BUILTIN = ("celery.", "windlass.")


class TaskRegistry(dict[str, "Task[..., Any]"]):
    """The tasks of an app, by name.

    Reading an unknown name raises NotRegistered, which is also a KeyError. The engine's own tasks
    (celery.map and the like) are found by `find` and by `[]`, and are not among the items.

    Args:
        builtin: Makes the engine's own task of a name, None where there is none.
    """

    NotRegistered = NotRegistered

    def __init__(self, builtin: Callable[[str], Task[..., Any] | None] = lambda _: None) -> None:
        super().__init__()
        self._builtin = builtin
        self._builtins: dict[str, Task[..., Any] | None] = {}

    def __missing__(self, name: str) -> Task[..., Any]:
        task = self.find(name)
        if task is None:
            raise NotRegistered(name, self)
        return task

    def find(self, name: str) -> Task[..., Any] | None:
        """Return the task of a name, the engine's own included; None where there is none."""
        task = self.get(name)
        if task is None and name.startswith(_BUILTIN):
            if name not in self._builtins:
                self._builtins[name] = self._builtin(name)
            task = self._builtins[name]
        return task

    def register(self, task: Task[..., Any]) -> None:
        """Add a task under its name; the same function again (a module reload) replaces it.

        Raises:
            AlreadyRegistered: Another function or class has the name.
        """
        name = task.name
        known = self.get(name)
        if known is not None and known is not task:
            before, now = home(known), home(task)
            if before != now:
                raise AlreadyRegistered(name, before, now)
        self[name] = task

    def unregister(self, name: str | Task[..., Any]) -> None:
        """Remove a task.

        Raises:
            NotRegistered: It is not there.
        """
        key = name if isinstance(name, str) else name.name
        if key not in self:
            raise NotRegistered(key, self)
        del self[key]

    def regular(self) -> dict[str, Task[..., Any]]:
        """Return the tasks by name, as a plain dict."""
        return dict(self)


def home(task: Task[..., Any]) -> str:
    """Say where a task is written: module and qualified name of its function or class."""
    return home_of(getattr(task, "__wrapped__", None) or type(task))


def home_of(source: Callable[..., Any]) -> str:
    """Say where a function or a class is written."""
    return f"{source.__module__}.{source.__qualname__}"
