"""Asking workers, the caller's side: one request to all who listen, answers by push.

Nothing is stored on the broker: request and answers are published, so there is nothing to clean
up. A call ends when everybody who heard it has answered, at the latest after its time-out.
Next in the walk: `windlass.runtime.remote`, the worker's side.
"""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.brokers.base import ControlMessage
from windlass.errors import ConfigurationError

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.connections import AnyBroker

#: A request is at most so many bytes: every worker reads it.
MAX_REQUEST_BYTES = 64 * 1024
#: Answers kept of one call; more workers than that are not waited for.
MAX_ANSWERS = 10_000

Callback = Callable[[dict[str, Any]], object]


class Answer(msgspec.Struct):
    """What one worker says."""

    worker: str
    worker_id: str
    reply: Any = None
    skipped: bool = False


_decode = msgspec.json.Decoder(Answer).decode


class Request(msgspec.Struct, kw_only=True, frozen=True):
    """A command and who is meant.

    Attributes:
        command: Name, see `windlass.runtime.remote`.
        arguments: Plain data by name.
        destination: Node names or worker ids; None: all.
        pattern: Only workers whose node name matches.
        matcher: How: "glob" or "pcre".
        timeout_s: How long answers are waited for.
        limit: Return after so many answers.
        callback: Called with each {node name: answer} as it comes.
    """

    command: str
    arguments: Mapping[str, Any] = {}
    destination: Sequence[str] | str | None = None
    pattern: str | None = None
    matcher: str | None = None
    timeout_s: float = 1.0
    limit: int | None = None
    callback: Callback | None = None

    def message(self, reply_to: str) -> ControlMessage:
        """Return what is sent.

        Raises:
            ConfigurationError: The arguments are too many bytes, or no plain data.
        """
        if self.matcher not in (None, "glob", "pcre"):
            msg = f"matcher is {self.matcher!r}. Expected 'glob' or 'pcre'."
            raise ConfigurationError(msg)
        message = ControlMessage(
            kind="call",
            method=self.command,
            arguments=dict(self.arguments),
            workers=self.workers,
            pattern=self.pattern or "",
            is_regex=self.matcher == "pcre",
            reply_to=reply_to,
        )
        try:
            size = len(message.encode())
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            msg = f"The arguments of {self.command!r} are no plain data: {error}."
            raise ConfigurationError(msg) from error
        if size > MAX_REQUEST_BYTES:
            msg = (
                f"The arguments of {self.command!r} make {size:,} bytes; at most "
                f"{MAX_REQUEST_BYTES:,} are sent to every worker. Send them in parts."
            )
            raise ConfigurationError(msg)
        return message

    @property
    def workers(self) -> tuple[str, ...]:
        """The destination as a tuple."""
        if isinstance(self.destination, str):
            return (self.destination,)
        return tuple(self.destination or ())


def tell(app: Windlass, request: Request) -> int:
    """Send a request whose answers nobody wants. Returns how many workers heard it."""
    return app.broker.call_workers(request.message(""))


def ask(app: Windlass, request: Request) -> list[tuple[str, Any]]:
    """Send a request and gather answers.

    Returns:
        (node name, answer), as they came. Where two workers have one name, the second is called
        by its worker id.

    Raises:
        OperationalError: The broker cannot be reached.
    """
    name = uuid.uuid4().hex
    message = request.message(name)
    broker = app.broker
    deadline = monotonic() + request.timeout_s
    answers = broker.answers(name)  # before the question is put
    try:
        # The server counts who listens on its own node: while the slot of a keyspace moves, some
        # workers still listen on another, and their heartbeats are what is known of them.
        heard = max(broker.call_workers(message), _alive(broker))
        return _gather(request, answers, deadline, heard)
    finally:
        answers.close()


def _alive(broker: AnyBroker) -> int:
    # Loaded here: a client that asks nobody should not carry it.
    heartbeats = importlib.import_module("windlass.control_plane.heartbeats")
    return len(heartbeats.read_workers(broker))


def _gather(request: Request, answers: Any, deadline: float, heard: int) -> list[tuple[str, Any]]:
    limit = min(request.limit or len(request.workers) or MAX_ANSWERS, MAX_ANSWERS)
    found: dict[str, Any] = {}
    spoken: set[str] = set()
    while len(spoken) < heard and len(found) < limit:
        payload = answers.next_payload(max(0.0, deadline - monotonic()))
        if payload is None:
            break
        try:
            answer = _decode(payload)
        except msgspec.MsgspecError:
            continue  # from a version that answers otherwise
        spoken.add(answer.worker_id)
        if answer.skipped:
            continue
        node = answer.worker if answer.worker not in found else answer.worker_id
        found[node] = answer.reply
        if request.callback is not None:
            request.callback({node: answer.reply})
    return list(found.items())


class Inspect:
    """`app.control.inspect()`: asks workers what they do.

    Every method returns {node name: answer}, or None if nobody answered in time.

    Args:
        app: Whose broker.
        destination: Node names or worker ids; None: all.
        timeout: Seconds to wait for answers; the call ends sooner when everybody has answered.
        callback: Called with each {node name: answer} as it comes.
        limit: Return after so many answers.
        pattern: Only workers whose node name matches.
        matcher: How: "glob" (the default) or "pcre", a regular expression.
    """

    def __init__(
        self,
        app: Windlass,
        destination: Sequence[str] | str | None = None,
        timeout: float = 1.0,
        callback: Callback | None = None,
        limit: int | None = None,
        pattern: str | None = None,
        matcher: str | None = None,
    ) -> None:
        self.app = app
        self.destination = destination
        self.timeout = timeout
        self.callback = callback
        self.limit = limit
        self.pattern = pattern
        self.matcher = matcher

    def ask(self, command: str, **arguments: Any) -> dict[str, Any] | None:
        """Ask with any command by name."""
        request = Request(
            command=command,
            arguments=arguments,
            destination=self.destination,
            pattern=self.pattern,
            matcher=self.matcher,
            timeout_s=self.timeout,
            limit=self.limit,
            callback=self.callback,
        )
        return dict(ask(self.app, request)) or None

    def ping(self, destination: Sequence[str] | str | None = None) -> dict[str, Any] | None:
        """Ask whether they are there: {"ok": "pong"}."""
        if destination is not None:
            self.destination = destination
        return self.ask("ping")

    def active(self, safe: bool | None = None) -> dict[str, Any] | None:
        """List what runs now: Celery's description of each task (id, name, args, time_start...)."""
        return self.ask("active", safe=safe)

    def reserved(self, safe: bool | None = None) -> dict[str, Any] | None:
        """List what was fetched and has not begun."""
        del safe
        return self.ask("reserved")

    def scheduled(self, safe: bool | None = None) -> dict[str, Any] | None:
        """List what is scheduled in the queues each serves: {"eta", "priority", "request"}.

        The broker holds it, no worker does: workers of one queue name the same messages.
        """
        del safe
        return self.ask("scheduled")

    def revoked(self) -> dict[str, Any] | None:
        """List ids that are marked as revoked; kept on the broker, so all say the same."""
        return self.ask("revoked")

    def registered(self, *taskinfoitems: str) -> dict[str, Any] | None:
        """Name the tasks they can run, each with the attributes asked for."""
        return self.ask("registered", taskinfoitems=list(taskinfoitems))

    registered_tasks = registered

    def stats(self) -> dict[str, Any] | None:
        """Give numbers: what was done, the pool, the broker, what the process used."""
        return self.ask("stats")

    def conf(self, with_defaults: bool = False) -> dict[str, Any] | None:
        """Give their settings, secrets hidden."""
        return self.ask("conf", with_defaults=with_defaults)

    def active_queues(self) -> dict[str, Any] | None:
        """Describe the queues they serve."""
        return self.ask("active_queues")

    def query_task(self, *ids: str | Sequence[str]) -> dict[str, Any] | None:
        """Find tasks by id: {id: [state, description]}, state "active" or "reserved"."""
        given = ids[0] if len(ids) == 1 and not isinstance(ids[0], str) else ids
        return self.ask("query_task", ids=list(given))

    def report(self) -> dict[str, Any] | None:
        """Describe their software and settings as text."""
        return self.ask("report")
