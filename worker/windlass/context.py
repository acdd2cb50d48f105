"""What a running task knows of its own call: `self.request`, and which task runs here now.

The running calls of a thread or coroutine are a stack of frames in one context variable, so threads
and event loops need no locks and never see each other's calls. `Task.request` is the topmost frame
of that task. Sends nothing and decodes nothing; the executor and `Task.__call__` push the frames.
Next in the walk: `windlass.task`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from windlass.errors import Retry
    from windlass.messages import Then


class PendingRetry(NamedTuple):
    """A retry that a running task asked for; args and kwargs None keep those of the message."""

    retry: Retry
    args: list[Any] | tuple[Any, ...] | None
    kwargs: dict[str, Any] | None
    options: dict[str, Any]


class PendingReplacement(NamedTuple):
    """The signature that a running task is to be replaced by (`Task.replace`)."""

    signature: Any  # a Signature; it imports this module


class Context:
    """The call that runs now, under Celery's field names (`self.request`).

    A task called directly, as a function, gets a context with the defaults below, in which
    `called_directly` is True and `id` is None. Times are ISO 8601 strings in UTC, as in Celery.

    Attributes:
        id: The task's id.
        task: The task's name.
        args: Positional arguments.
        kwargs: Keyword arguments.
        root_id: First task of the tree of calls this one belongs to.
        parent_id: The task that sent this one.
        group: Id of the group this call is a member of.
        group_index: Its place in that group, from 0.
        chord: The body that waits for this call.
        chain: What is left of the chain, last first.
        callbacks: Signatures to be sent with the result (`link`).
        errbacks: Signatures to be called on failure (`link_error`).
        retries: Retries so far, 0 on the first run.
        deliveries: Earlier deliveries that ended in a crash or an expired lease.
        handbacks: Times it was handed back by a worker that drained.
        generation: Times it was replayed from the dead letters.
        is_eager: Run in the caller's process by `apply` or task_always_eager.
        called_directly: Run as a plain function.
        timelimit: [hard, soft] seconds of this call, or None.
        hostname: Name of the worker.
        origin: Who sent it, "pid@host".
        headers: The caller's own headers.
        children: Results of the tasks that this one sent, for `AsyncResult.children`.
    """

    id: str | None = None
    task: str | None = None
    args: list[Any] | tuple[Any, ...] | None = None
    kwargs: dict[str, Any] | None = None
    root_id: str | None = None
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    chord: Any = None  # a signature as sent: any task's
    chain: list[Any] | None = None
    callbacks: list[Any] | None = None
    errbacks: list[Any] | None = None
    retries: int = 0
    deliveries: int = 0
    handbacks: int = 0
    generation: int = 0
    is_eager: bool = False
    called_directly: bool = True
    timelimit: list[float | None] | None = None
    hostname: str | None = None
    origin: str | None = None
    reply_to: str | None = None
    headers: dict[str, Any] | None = None
    stamps: dict[str, Any] | None = None
    stamped_headers: list[str] | None = None
    replaced_task_nesting: int = 0
    ignore_result: bool | None = None
    shadow: str | None = None
    lang: str = "py"
    utc: bool = True
    loglevel: int | None = None
    logfile: str | None = None

    #: Where and when, in the broker's terms: set by the executor.
    queue: str | None = None
    priority: int = 0
    #: What waits for the outcome (`windlass.messages.Then`), None for nothing.
    then: Then | None = None
    #: Signatures that add_to_chord has added to the header that this call is a member of.
    added: list[Any] | None = None
    token: int | None = None
    #: Broker's clock less CLOCK_MONOTONIC, milliseconds.
    clock_offset_ms: float | None = None
    due_ms: int = 0
    expires_ms: int = 0
    #: What retry() or replace() asked for: carried out when the run ends, in its one commit.
    pending: PendingRetry | PendingReplacement | None = None
    #: Set for a task with a __call__ of its own: the next Task.__call__ is the run itself.
    is_run_due: bool = False

    def __init__(self, **fields: Any) -> None:  # the fields above, each of its own type
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"<Context: {self.__dict__!r}>"

    def update(self, **fields: Any) -> None:  # as in __init__
        """Set several fields at once."""
        self.__dict__.update(fields)

    def get(self, name: str, default: Any = None) -> Any:  # any field's type
        """Return a field by name, or the default if there is no such field."""
        return getattr(self, name, default)

    @cached_property
    def correlation_id(self) -> str | None:
        """The id that answers are matched by: the task's own."""
        return self.id

    @cached_property
    def argsrepr(self) -> str:
        """The positional arguments as text, for logs."""
        return repr(tuple(self.args or ()))

    @cached_property
    def kwargsrepr(self) -> str:
        """The keyword arguments as text, for logs."""
        return repr(self.kwargs or {})

    @cached_property
    def eta(self) -> str | None:
        """When it was due, None if it was not scheduled."""
        return _isoformat(self.due_ms)

    @cached_property
    def expires(self) -> str | None:
        """When it expires, None if never."""
        return _isoformat(self.expires_ms)

    @cached_property
    def delivery_info(self) -> dict[str, Any]:
        """Where it came from, in AMQP's words: exchange, routing_key, priority, redelivered."""
        return {
            "exchange": "",
            "routing_key": self.queue,
            "priority": self.priority,
            "redelivered": self.deliveries > 0,
        }

    @cached_property
    def properties(self) -> dict[str, Any]:
        """Message properties, in AMQP's words."""
        return {
            "correlation_id": self.correlation_id,
            "reply_to": self.reply_to,
            "priority": self.priority,
            "delivery_info": self.delivery_info,
        }

    @cached_property
    def children(self) -> list[Any]:
        """Results of the tasks that this one sent so far."""
        return []

    @property
    def checkpoint(self) -> Any:  # what the task saved
        """How far an earlier run has come, or this one: see `Task.checkpoint`; None for no word."""
        from windlass.checkpoints import load  # noqa: PLC0415 - it imports this module

        return load(self)

    @property
    def should_stop(self) -> bool:
        """Whether the worker is to end: save a checkpoint and hand back, or be quick."""
        frame = _top.get()
        flag = None if frame is None else frame.task.app.stop_flag
        return flag is not None and flag.is_set

    @property
    def time_limit(self) -> float | None:
        """Hard time limit of this call in seconds, None if the task's own applies."""
        return self.timelimit[0] if self.timelimit else None

    @property
    def soft_time_limit(self) -> float | None:
        """Soft time limit of this call in seconds, None if the task's own applies."""
        return self.timelimit[1] if self.timelimit else None

    @property
    def idempotency_key(self) -> str:
        """A key that is the same for every run of this call: "id:generation".

        Give it to whatever has an effect outside (a payment, an e-mail): a crash or a retry runs
        the call once more, and the key tells the other side that it is the same one. Replaying a
        dead letter is an order to do it again: that raises the generation, from 0 on.
        """
        return f"{self.id}:{self.generation}"


class Frame(msgspec.Struct, frozen=True, eq=False):
    """One running call: whose, its context, and the frame it was called from."""

    task: Any  # a Task; it imports this module
    request: Context
    below: Frame | None


_top: ContextVar[Frame | None] = ContextVar("windlass_running", default=None)

current_frame = _top.get


def enter(task: object, request: Context) -> Frame | None:
    """Enter a call; returns what `leave` takes."""
    before = _top.get()
    _top.set(Frame(task, request, before))
    return before


def leave(before: Frame | None) -> None:
    """Leave a call, and whatever was entered in it and not left."""
    _top.set(before)


@contextmanager
def pushed(task: object, request: Context) -> Iterator[Context]:
    """Run a block as a call of the task."""
    before = enter(task, request)
    try:
        yield request
    finally:
        leave(before)


def request_of(task: object) -> Context | None:
    """Return the context of the innermost running call of this task, None if it does not run."""
    frame = _top.get()
    while frame is not None and frame.task is not task:
        frame = frame.below
    return None if frame is None else frame.request


def sending_request() -> Context | None:
    """Return the context that what is sent now belongs to: the innermost real (sent) call."""
    frame = _top.get()
    while frame is not None and frame.request.called_directly:
        frame = frame.below
    return None if frame is None else frame.request


def _isoformat(at_ms: int) -> str | None:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat() if at_ms else None
