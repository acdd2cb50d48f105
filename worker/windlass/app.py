"""The app: settings, tasks, and what a call of them needs. It wires; the work is done elsewhere.

    app = Windlass("shop", broker="redis://localhost", backend="redis://")

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

Making an app does no I/O: connections are opened on first use, and modules of tasks are imported
when a worker finalises the app. Next in the walk: `windlass.task`, then `windlass.sending`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from windlass import connections, publishing, shared
from windlass.arguments import check_containers
from windlass.control import Control
from windlass.declaring import AnyTask, Declaring
from windlass.errors import ConfigurationError
from windlass.periodic import Periodic
from windlass.publishing import Call
from windlass.results import handle
from windlass.routing import Router
from windlass.settings.conf import Conf
from windlass.signatures import Signature, signature
from windlass.task_annotations import annotate_all

if TYPE_CHECKING:
    from typing import Self, Unpack

    from windlass.call_options import CallOptions
    from windlass.connections import AnyBroker, AnyResults
    from windlass.results.group_result import GroupResult
    from windlass.results.result_set import ResultSet
    from windlass.settings.model import Settings
    from windlass.stopping import StopFlag

_ARGUMENTS = {"broker_url": "broker", "result_backend": "backend"}


class Windlass(Periodic, Declaring):
    """An application: its settings and its tasks.

    Args:
        main: Name of the app; the module name of tasks that are defined in a script.
        broker: Address of the broker (the setting broker_url).
        backend: Where results are kept (the setting result_backend); None: results are off.
        include: Modules of tasks that a worker imports.
        set_as_current: Make it the current app, which shared tasks use.
        config_source: As the argument of `config_from_object`.
        task_cls: Base class of its tasks, or a dotted path to one.
        namespace: Prefix of the names in config_source, e.g. "CELERY".
        **settings: Any settings, by lower-case name.

    Raises:
        ConfigurationError: A setting is unknown or ill-typed; the text names the nearest one.
    """

    def __init__(  # noqa: PLR0913 - Celery's arguments
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Sequence[str] = (),
        set_as_current: bool = True,
        config_source: object = None,
        task_cls: type[AnyTask] | str | None = None,
        namespace: str | None = None,
        **settings: Any,  # each checked against its own type
    ) -> None:
        Declaring.__init__(self, main, task_cls)
        Periodic.__init__(self)
        self.conf = Conf(
            _arguments(broker=broker, backend=backend, include=include, settings=settings),
            origins=_ARGUMENTS,
        )
        self.control = Control(self)
        #: Flags of the application's own: see `windlass.cli.user_options`.
        self.user_options: defaultdict[str, set[Any]] = defaultdict(set)
        self._broker: AnyBroker | None = None
        self._backend: AnyResults | None = None
        self._backend_known = False
        self._router: tuple[Settings, Router] | None = None
        if config_source is not None:
            self.config_from_object(config_source, namespace=namespace)
        if set_as_current:
            shared.app_created(self)

    #: Set in a worker's processes: whether it is to end.
    stop_flag: StopFlag | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.main or '__main__'} at {id(self):#x}>"

    # -- calling

    @property
    def Task(self) -> type[AnyTask]:  # noqa: N802 - Celery's name: class X(app.Task)
        """Base class of this app's tasks."""
        return self._task_base

    @property
    def current_task(self) -> AnyTask | None:
        """The task that runs in this thread or coroutine, None outside of one."""
        return shared.get_current_task()

    current_worker_task = current_task

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> handle.AsyncResult[Any]:
        """Send a task by name; it need not be known here, and its signature is not checked.

        Args:
            name: Name of the task.
            args: Positional arguments.
            kwargs: Keyword arguments.
            **options: As for `Task.apply_async`.

        Raises:
            EncodeError: An argument cannot be serialised.
            MessageTooLarge: The message is over task_max_size_bytes.
            OperationalError: The broker cannot be reached, after the publish retries.
        """
        check_containers(args, kwargs)
        task = self.tasks.get(name)
        if self.conf.current.task_always_eager and task is not None:
            return task.apply_async(args, kwargs, **options)
        return publishing.send_by_name(self, Call(name, task, args or (), kwargs or {}, options))

    async def asend_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> handle.AsyncResult[Any]:
        """As `send_task`, without blocking the event loop."""
        check_containers(args, kwargs)
        task = self.tasks.get(name)
        if self.conf.current.task_always_eager and task is not None:
            return await task.aapply_async(args, kwargs, **options)
        call = Call(name, task, args or (), kwargs or {}, options)
        return await publishing.asend_by_name(self, call)

    def send_many(self, calls: Iterable[Signature[Any]]) -> list[handle.AsyncResult[Any]]:
        """Send signatures of any tasks in one round trip. All are checked before any is sent.

        >>> app.send_many([add.s(1, 2), mail.s("a@b.org").set(queue="mail")])  # doctest: +SKIP
        """
        if self.conf.current.task_always_eager:
            return [call.apply_async() for call in calls]
        return publishing.send_all(self, map(self._call, calls))

    async def asend_many(self, calls: Iterable[Signature[Any]]) -> list[handle.AsyncResult[Any]]:
        """As `send_many`, without blocking the event loop."""
        if self.conf.current.task_always_eager:
            return [await call.aapply_async() for call in calls]
        return await publishing.asend_all(self, map(self._call, calls))

    def _call(self, call: Signature[Any]) -> Call:
        return Call(call.task, self.tasks.get(call.task), call.args, call.kwargs, call.options)

    def signature(self, *args: Any, **kwargs: Any) -> Signature[Any]:
        """Make a signature, as `windlass.signature`, that is bound to this app."""
        return signature(*args, **kwargs, app=self)

    def AsyncResult(self, task_id: str, **options: Any) -> handle.AsyncResult[Any]:  # noqa: N802 - Celery's
        """Return the result handle of a task id."""
        return handle.AsyncResult(task_id, app=self, **options)

    @cached_property
    def ResultSet(self) -> type[ResultSet[Any]]:  # noqa: N802 - Celery's
        """`windlass.result.ResultSet`, with this app as its default."""
        from windlass.results.bound import result_set_of  # noqa: PLC0415 - a worker needs none

        return result_set_of(self)

    @cached_property
    def GroupResult(self) -> type[GroupResult[Any]]:  # noqa: N802 - Celery's
        """`windlass.result.GroupResult`, with this app as its default, in `restore` too."""
        from windlass.results.bound import group_result_of  # noqa: PLC0415 - a worker needs none

        return group_result_of(self)

    # -- what calls need

    @property
    def broker(self) -> AnyBroker:
        """The broker, made and the settings fixed on first use. Safe in threads and after a fork.

        Raises:
            ConfigurationError: No broker is configured, or none that is supported.
        """
        if self._broker is None:
            with self._lock:
                if self._broker is None:
                    self._broker = self.new_broker()
                    self.conf.freeze()
        return self._broker

    def new_broker(self) -> AnyBroker:
        """Return a broker of its own connections; who asks for it closes it."""
        return connections.make_broker(self.conf.current)

    @property
    def backend(self) -> AnyResults | None:
        """The result backend, None when results are off. Made on first use.

        Raises:
            ConfigurationError: It is none that is supported.
        """
        if not self._backend_known:
            with self._lock:
                self._backend = connections.make_backend(self.conf.current, lambda: self.broker)
                self._backend_known = True
        return self._backend

    @property
    def router(self) -> Router:
        """Decides where calls go, by the settings of this moment."""
        settings = self.conf.current
        if self._router is None or self._router[0] is not settings:
            self._router = (settings, Router(settings))
        return self._router[1]

    @property
    def timezone(self) -> tzinfo:
        """What a datetime without a zone means to this app."""
        return self.conf.current.tzinfo()

    def now(self) -> datetime:
        """Return the time of this machine, in the app's time zone."""
        return datetime.now(UTC).astimezone(self.timezone)

    # -- settings

    def config_from_object(
        self,
        obj: object,
        *,
        silent: bool = False,
        force: bool = False,
        namespace: str | None = None,
    ) -> None:
        """Read settings from an object; what earlier calls and assignments set is reset.

        Args:
            obj: A module, a class, a mapping, any object with attributes, or the name of one:
                "celeryconfig", "django.conf:settings". A name is loaded when a setting is first
                needed, so it may name a module that imports this app.
            silent: Leave the settings alone when the named object cannot be loaded.
            force: Load a named object now.
            namespace: Read only names with this prefix: "CELERY" reads CELERY_TASK_SERIALIZER.

        Raises:
            ConfigurationError: A setting is unknown or ill-typed, or the name leads nowhere.
        """
        self.conf.load(obj, namespace=namespace, lazy=not (force or silent), silent=silent)

    def config_from_envvar(
        self, variable_name: str, *, silent: bool = False, force: bool = False
    ) -> bool:
        """Read settings from the object that an environment variable names.

        Returns:
            Whether the variable is set; with `silent`, False instead of an error.

        Raises:
            ConfigurationError: The variable is not set or empty.
        """
        name = os.environ.get(variable_name)
        if name:
            self.config_from_object(name, silent=silent, force=force)
            return True
        if silent:
            return False
        msg = (
            f"Environment variable {variable_name} is not set. Expected the name of a module with "
            "settings, e.g. 'proj.windlassconfig'."
        )
        raise ConfigurationError(msg)

    # -- life

    def finalize(self) -> None:
        """Import the modules of tasks and fix the settings. Workers do this; clients need not.

        Raises:
            ConfigurationError: A module of `imports` or `include` cannot be found.
        """
        with self._lock:
            if self._finalized:
                return
            self._finalized = True  # before the imports: they may look at the app
            try:
                self._import_task_modules(self.conf.current)
                self._announce(self.on_after_configure)
                annotate_all(self.tasks.values(), self.conf.current)
                _ = self.router  # a bad route is found here, not at the first call
            except BaseException:
                self._finalized = False
                raise
            self.conf.freeze()
            self._announce(self.on_after_finalize)

    @property
    def finalized(self) -> bool:
        """Whether the modules of tasks are imported and the settings fixed."""
        return self._finalized

    def set_current(self) -> None:
        """Make this the current app of this thread."""
        shared.set_current_app(self)

    def set_default(self) -> None:
        """Make this the current app of all threads that chose none."""
        shared.set_default_app(self)

    def close(self) -> None:
        """Close the connections. The app stays usable, and may be configured anew."""
        with self._lock:
            broker, self._broker = self._broker, None
            backend, self._backend = self._backend, None
            self._backend_known = False
            if broker is not None:
                broker.close()
            if backend is not None:
                backend.close()
            self.conf.thaw()

    async def aclose(self) -> None:
        """Close the connections, those of the running event loop too."""
        if self._broker is not None:
            await self._broker.aclose()
        if self._backend is not None:
            await self._backend.aclose()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def worker_main(self, argv: Sequence[str] | None = None) -> int:
        """Run the `windlass` command on this app, e.g. `app.worker_main(["worker", "-c", "2"])`.

        Returns:
            The exit code.
        """
        # The command line is no part of a client.
        from windlass.cli.main import main  # noqa: PLC0415

        return main(argv, app=self)

    start = worker_main


def _arguments(
    *, broker: str | None, backend: str | None, include: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    given = {
        "broker_url": broker,
        "result_backend": backend,
        "include": tuple(include) or None,
    }
    return {**settings, **{name: value for name, value in given.items() if value is not None}}
