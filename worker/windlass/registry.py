"""Tasks by name. Next in the walk: `windlass.task`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from windlass.errors import AlreadyRegistered, NotRegistered

if TYPE_CHECKING:
    from windlass.task import Task


class TaskRegistry(dict[str, "Task[..., Any]"]):
    """The tasks of an app, by name.

    Reading an unknown name raises NotRegistered, which is also a KeyError.
    """

    NotRegistered = NotRegistered

    def __missing__(self, name: str) -> Task[..., Any]:
        raise NotRegistered(name, self)

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
