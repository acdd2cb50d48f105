"""Signals: be told of what the engine does, under Celery's names.

    @task_failure.connect
    def report(sender, task_id, exception, **_): ...

Only signals that are sent are here; importing another of Celery's is an ImportError. A receiver
runs where the thing happens, takes keyword arguments, and should accept `**kwargs`. What it raises
is logged and changes nothing. Signals without receivers cost nothing.

    signal                 sender      arguments
    before_task_publish    task name   body, exchange, routing_key, headers (may be changed)
    after_task_publish     task name   body, exchange, routing_key, headers
    task_received          node name   request: a process of tasks took it, and it will run
    task_rejected          node name   message (id, queue, raw, ...), exc: it is a dead letter: bad,
                                       refused, too large, or by Reject
    task_prerun            task        task_id, task, args, kwargs
    task_postrun           task        task_id, task, args, kwargs, retval, state
    task_success           task        result
    task_failure           task        task_id, exception, args, kwargs, traceback, einfo
    task_retry             task        request, reason, einfo
    task_revoked           task        request, terminated, signum, expired (expired ones)
    task_internal_error    task        task_id, args, kwargs, request, exception, traceback, einfo:
                                       the engine, or sending a callback, failed after the function
    worker_process_init    None        in each process that runs tasks, before the first
    worker_process_shutdown  None      pid, exitcode; in it, at its orderly end (a kill has none)
    celeryd_init           node name   instance (the app), conf, options (of the command line);
                                       before modules of tasks are imported: settings may change
    celeryd_after_setup    node name   instance (the app), conf; they are imported
    worker_init            worker      before anything is started: connections opened here are
                                       inherited by every process, so open none
    worker_ready           worker      it takes tasks
    worker_shutting_down   node name   sig, how ("Warm", "Cold"), exitcode
    worker_shutdown        worker      everything is settled or handed back
    setup_logging          None        loglevel, logfile, format, colorize; with a receiver the
                                       worker sets up no logging of its own
    after_setup_logger     None        logger, loglevel, logfile, format, colorize
    user_preload_options   app         app, options: what `app.user_options["preload"]` declares

Of Celery's others: task_unknown has a log event only, task_parked (docs/reference/events.md), since
the supervisor sets such messages aside and runs no user code; heartbeat_sent, eventlet_*,
worker_before_create_process, import_modules and after_setup_task_logger have nothing here that
they would tell of.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any, NamedTuple, TypeVar, overload

from windlass import events
from windlass.context import Context
from windlass.log import get_logger

_log = get_logger(__name__)
#: A receiver: any function of keyword arguments.
Receiver = Callable[..., Any]
F = TypeVar("F", bound=Receiver)


class _Connection(NamedTuple):
    key: object  # dispatch_uid, or what stands for the receiver without holding it
    sender: Any  # None hears every sender
    receiver: Callable[[], Receiver | None]  # a (weak) reference


class Signal:
    """Something that happens, and who wants to be told.

    Args:
        name: For logs.

    Attributes:
        connections: Who is connected; empty when the signal need not be sent.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections: tuple[_Connection, ...] = ()
        self._lock = threading.Lock()

    @overload
    def connect(self, receiver: F, /) -> F: ...
    @overload
    def connect(
        self,
        receiver: F,
        /,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: object = None,
    ) -> F: ...
    @overload
    def connect(
        self,
        receiver: None = None,
        /,
        *,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: object = None,
    ) -> Callable[[F], F]: ...
    def connect(
        self,
        receiver: Receiver | None = None,
        /,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: object = None,
    ) -> Any:
        """Connect a receiver; also as a decorator, with and without arguments.

        Args:
            receiver: Called with `signal`, `sender` and the signal's own arguments by name.
            sender: Hear this sender only: a task, or a task's name.
            weak: Forget the receiver when nothing else holds it, as Celery does. A function
                defined inside another one needs weak=False.
            dispatch_uid: Connect only once under this key.
        """

        def add(function: Receiver) -> Receiver:
            key = _key(function) if dispatch_uid is None else dispatch_uid
            connection = _Connection(key, sender, _reference(function, weak))
            with self._lock:
                others = [each for each in self.connections if each[:2] != connection[:2]]
                self.connections = (*others, connection)
            return function

        return add if receiver is None else add(receiver)

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: object = None,
        weak: bool | None = None,
        dispatch_uid: object = None,
    ) -> bool:
        """Disconnect what `connect` connected; returns whether it was connected."""
        key = _key(receiver) if dispatch_uid is None else dispatch_uid
        with self._lock:
            kept = tuple(each for each in self.connections if each[:2] != (key, sender))
            found = len(kept) < len(self.connections)
            self.connections = kept
        return found

    def send(self, sender: object, **arguments: Any) -> list[tuple[Receiver, Any]]:
        """Call the receivers; returns (receiver, what it returned or raised) of each."""
        answers: list[tuple[Receiver, Any]] = []
        for connection in self.connections:
            receiver = connection.receiver()
            if receiver is None:
                with self._lock:
                    self.connections = tuple(c for c in self.connections if c is not connection)
            elif _hears(connection.sender, sender):
                answers.append((receiver, self._call(receiver, sender, arguments)))
        return answers

    def _call(self, receiver: Receiver, sender: object, arguments: dict[str, Any]) -> Any:
        try:
            return receiver(signal=self, sender=sender, **arguments)
        except Exception as error:  # a receiver must not change what it is told of
            hook = f"{self.name}: {getattr(receiver, '__qualname__', receiver)!s}"
            _log.error(events.TASK_HOOK_FAILED, exc_info=sys.exc_info(), hook=hook)
            return error

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"


def _key(function: Receiver | None) -> object:
    # Bound methods are made anew at each look: their parts are what stays.
    if isinstance(function, MethodType):
        return id(function.__self__), id(function.__func__)
    return id(function)


def _reference(function: Receiver, weak: bool) -> Callable[[], Receiver | None]:
    if not weak:
        return lambda: function
    return (
        weakref.WeakMethod(function) if isinstance(function, MethodType) else weakref.ref(function)
    )


def _hears(wanted: Any, sender: Any) -> bool:
    """A task may be meant by itself or by its name, wherever the sender is either."""
    if wanted is None or wanted is sender:
        return True
    name = getattr(sender, "name", sender)
    return isinstance(name, str) and name == getattr(wanted, "name", wanted)


def of_run(task: Any, request: Context) -> dict[str, Any]:
    """Return the arguments that all signals of a run have in common."""
    return {
        "task_id": request.id,
        "task": task,
        "args": request.args,
        "kwargs": request.kwargs,
    }


def failed(task: Any, request: Context, error: BaseException, einfo: Any) -> None:
    """Send task_failure if anybody listens."""
    if task_failure.connections:
        task_failure.send(
            task,
            task_id=request.id,
            exception=error,
            args=request.args,
            kwargs=request.kwargs,
            traceback=error.__traceback__,
            einfo=einfo,
        )


def internal_error(task: Any, request: Context, error: BaseException, einfo: Any) -> None:
    """Send task_internal_error; the caller has looked whether anybody listens."""
    task_internal_error.send(
        task,
        task_id=request.id,
        args=request.args,
        kwargs=request.kwargs,
        request=request,
        exception=error,
        traceback=error.__traceback__,
        einfo=einfo,
    )


before_task_publish = Signal("before_task_publish")
after_task_publish = Signal("after_task_publish")
task_received = Signal("task_received")
task_rejected = Signal("task_rejected")
task_prerun = Signal("task_prerun")
task_postrun = Signal("task_postrun")
task_success = Signal("task_success")
task_failure = Signal("task_failure")
task_retry = Signal("task_retry")
task_revoked = Signal("task_revoked")
task_internal_error = Signal("task_internal_error")
worker_process_init = Signal("worker_process_init")
worker_process_shutdown = Signal("worker_process_shutdown")
celeryd_init = Signal("celeryd_init")
celeryd_after_setup = Signal("celeryd_after_setup")
worker_init = Signal("worker_init")
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down")
worker_shutdown = Signal("worker_shutdown")
setup_logging = Signal("setup_logging")
after_setup_logger = Signal("after_setup_logger")
user_preload_options = Signal("user_preload_options")
