"""The part of an app that holds its tasks: declared, registered, shared, discovered.

Mixed into `windlass.app.Windlass`. Next in the walk: `windlass.task`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, cast, overload

from windlass import discovery, naming, shared_tasks
from windlass.canvas.builtins import builtin_task
from windlass.registry import TaskRegistry, home, home_of
from windlass.settings.model import Settings
from windlass.settings.sources import load_object
from windlass.task import Task, bind_task, build_task
from windlass.task_annotations import annotate

if TYPE_CHECKING:
    from windlass.app import Windlass

AnyTask = Task[..., Any]
P = ParamSpec("P")
R = TypeVar("R")


class Declaring:
    """Tasks of an app.

    Args:
        main: Name of the app.
        task_cls: Base class of its tasks, or a dotted path to one.
    """

    def __init__(self, main: str | None, task_cls: type[Task[..., Any]] | str | None) -> None:
        self.main = main
        self._task_base = _task_base(task_cls)
        self._tasks = TaskRegistry(lambda name: builtin_task(self._app, name))
        self._adopted: set[shared_tasks.Declaration] = set()
        self._adopted_generation = 0
        self._discoveries: list[tuple[discovery.Packages, str | None]] = []
        self._finalized = False
        self._lock = threading.RLock()

    @property
    def _app(self) -> Windlass:
        return cast("Windlass", self)  # nothing else is made of this class

    @overload
    def task(self, fun: Callable[P, R], /, **options: Any) -> Task[P, R]: ...
    @overload
    def task(
        self, fun: None = None, /, *, bind: Literal[True], **options: Any
    ) -> Callable[[Callable[Concatenate[Any, P], R]], Task[P, R]]: ...
    @overload
    def task(
        self, fun: None = None, /, *, bind: Literal[False] = False, **options: Any
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    def task(self, fun: Callable[..., Any] | None = None, /, **options: Any) -> Any:
        """Turn a function into a task, with and without parentheses.

        Args:
            fun: The function; it may be async.
            **options: `name` (default "module.function"), `base` (a subclass of Task), `shared`
                (True: every app has it), and every attribute of `windlass.task.Task`, such as
                bind, queue, max_retries, autoretry_for, time_limit or ignore_result.

        Raises:
            AlreadyRegistered: Another function has the name.
            TypeError: An option is unknown; the text names the nearest one.
        """
        base = options.pop("base", None)
        share = options.pop("shared", False)

        def declare(function: Callable[..., Any]) -> Task[..., Any]:
            if share:
                declaration = shared_tasks.declarations.add(function, base, options)
                self._adopted.add(declaration)
            return self._add(function, base, options)

        return declare if fun is None else declare(fun)

    def _add(
        self,
        fun: Callable[..., Any],
        base: type[Task[..., Any]] | None,
        options: Mapping[str, Any],
    ) -> Task[..., Any]:
        task = build_task(
            self._app, fun, base or self._task_base, {**options, "name": self._name(fun, options)}
        )
        self._tasks.register(task)
        if self._finalized:
            annotate(task, self._app.conf.current)
        return task

    def _name(self, fun: Callable[..., Any], options: Mapping[str, Any]) -> str:
        return options.get("name") or self.gen_task_name(fun.__name__, fun.__module__)

    def register_task(self, task: Task[P, R] | type[Task[P, R]], **options: Any) -> Task[P, R]:
        """Add a task written as a class, given as the class or an instance of it.

        Args:
            task: Its name defaults to "module.Class".
            **options: Attributes to set on it.

        Raises:
            AlreadyRegistered: Another task has the name.
        """
        instance = task() if isinstance(task, type) else task
        cls = type(instance)
        name = instance.name or self.gen_task_name(cls.__name__, cls.__module__)
        bind_task(self._app, instance, {"name": name, **options})
        self._tasks.register(instance)
        return instance

    def gen_task_name(self, name: str, module: str) -> str:
        """Return the automatic name of a task; override it to have your own rule."""
        return naming.task_name(self.main, name, module)

    @property
    def tasks(self) -> TaskRegistry:
        """The tasks by name, the shared ones of all modules imported so far included."""
        if self._adopted_generation != shared_tasks.declarations.generation:
            self._adopt_shared()
        return self._tasks

    def _adopt_shared(self) -> None:
        """Make tasks of the shared declarations; what is declared here under a name goes first."""
        with self._lock:
            self._adopted_generation = shared_tasks.declarations.generation
            for declaration in shared_tasks.declarations.all():
                if declaration in self._adopted:
                    continue
                self._adopted.add(declaration)
                known = self._tasks.get(self._name(declaration.fun, declaration.options))
                if known is None or home(known) == home_of(declaration.fun):
                    self._add(declaration.fun, declaration.base, declaration.options)

    def autodiscover_tasks(
        self,
        packages: discovery.Packages = None,
        related_name: str | None = "tasks",
        force: bool = False,
    ) -> None:
        """Import the module `tasks` of each package when a worker finalises the app.

        Args:
            packages: Names of packages, or a function that returns them. None: the installed
                apps of Django.
            related_name: Name of the module; packages without one are passed over.
            force: Import now.
        """
        if force or self._finalized:
            discovery.discover(packages, related_name)
        else:
            self._discoveries.append((packages, related_name))

    def _import_task_modules(self, settings: Settings) -> None:
        discovery.import_modules(settings.imports, "imports")
        discovery.import_modules(settings.include, "include")
        for packages, related_name in self._discoveries:
            discovery.discover(packages, related_name)


def _task_base(task_cls: type[Task[..., Any]] | str | None) -> type[Task[..., Any]]:
    base = load_object(task_cls) if isinstance(task_cls, str) else task_cls or Task
    if not (isinstance(base, type) and issubclass(base, Task)):
        msg = f"task_cls is {task_cls!r}; expected a subclass of windlass.Task, or a path to one."
        raise TypeError(msg)
    return base
