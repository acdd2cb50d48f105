"""`app.control`: revoke and purge, which need no worker, and commands to the workers there are.

Whoever holds the broker's credentials may do all of this; nobody else can.
Next in the walk: `windlass.remote_calls`.
"""

from __future__ import annotations

import importlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from windlass.brokers.base import StoredResult
from windlass.errors import ConfigurationError, nearest
from windlass.remote_calls import Inspect, Request, ask, tell
from windlass.results import codec
from windlass.routing import declared_queues
from windlass.stamp_marks import marks_of
from windlass.states import Stage

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.why import Why


class Control:
    """Remote control of what was sent.

    Args:
        app: Whose broker is spoken to.
    """

    def __init__(self, app: Windlass) -> None:
        self.app = app
        #: `inspect(destination=None, timeout=1.0, callback=None, limit=None, pattern=None,
        #: matcher=None)` returns what asks the workers; see `windlass.remote_calls.Inspect`.
        self.inspect: Callable[..., Inspect] = partial(Inspect, app)

    def revoke(
        self,
        task_id: str | Iterable[str],
        terminate: bool = False,
        signal: str = "SIGTERM",
    ) -> dict[str, Stage]:
        """Take tasks back.

        One that waits (ready, scheduled or parked) is gone at once and its state is REVOKED; one
        that has not begun is not begun. It survives restarts of everything and needs no worker.

        Args:
            task_id: One id, or several.
            terminate: End the process that runs it, if it runs. What else runs in the same
                process (threads, asyncio) is handed back.
            signal: Name of the signal for `terminate`.

        Returns:
            For each id, where it was found; UNKNOWN ones are refused should they still arrive.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        ids = [task_id] if isinstance(task_id, str) else list(task_id)
        return self.app.broker.revoke(
            ids,
            result_for=self._revoked_result,
            terminate=terminate,
            signal=_signal_name(signal),
        )

    def why(self, task_id: str, timeout: float = 1.0) -> Why:
        """Say why a task is not running: where it is, what it waits for, and its attempts.

        Args:
            task_id: Its id.
            timeout: Seconds to wait for the workers' answers, where one of them has it.

        Returns:
            `reasons`, the foremost first, each with a word (`cause`) and a sentence (`text`); the
            stage, and the attempts that did not end well. See `windlass.why.Why`.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        # Loaded here: who only sends does without it.
        found: Why = importlib.import_module("windlass.why").ask_why(self.app, task_id, timeout)
        return found

    def terminate(self, task_id: str | Iterable[str], signal: str = "SIGTERM") -> dict[str, Stage]:
        """Revoke, and end the process that runs it."""
        return self.revoke(task_id, terminate=True, signal=signal)

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        destination: Sequence[str] | str | None = None,
        terminate: bool = False,
        signal: str = "SIGTERM",
        **options: Any,  # of Celery's broadcast; nothing is broadcast
    ) -> None:
        """Take back every task that has one of these stamps, for a day.

        One that a worker meets is not begun and ends as REVOKED: what waits now as well as what is
        sent within the day. It survives restarts of everything and needs no worker now.

        Args:
            headers: Name of the stamped header -> a value, or a list any of which is meant.
            destination: Accepted and without meaning: the marks are the broker's.
            terminate: End the processes that run such tasks.
            signal: Name of the signal for `terminate`.
            **options: Accepted and without meaning, as `destination`.

        Raises:
            TypeError: The headers are no mapping of names to JSON values.
            OperationalError: The broker cannot be reached.
        """
        del destination, options
        marks_of(headers)
        self.app.broker.revoke_stamps(headers, _signal_name(signal) if terminate else "")

    def purge(self, queues: Sequence[str] | None = None) -> int:
        """Delete the messages that wait in queues, scheduled and parked ones too. There is no undo.

        What a worker has leased is not touched, nor are dead letters.

        Args:
            queues: Names; None takes those of the settings (task_queues, or the default queue).

        Returns:
            How many messages were deleted.
        """
        names = declared_queues(self.app.conf.current) if queues is None else queues
        return sum(self.app.broker.purge(name) for name in names)

    discard_all = purge

    def broadcast(
        self,
        command: str,
        arguments: Mapping[str, Any] | None = None,
        destination: Sequence[str] | str | None = None,
        reply: bool = False,
        **options: Any,  # timeout, limit, callback, pattern, matcher
    ) -> list[dict[str, Any]] | None:
        """Send a command to workers.

        Args:
            command: Its name, e.g. "ping"; see docs/reference/control.md.
            arguments: By name.
            destination: Node names or worker ids; None: all.
            reply: Wait for their answers.
            **options: `timeout` (seconds, 1), `limit` (answers), `callback` (called with each
                answer), `pattern` and `matcher` ("glob" or "pcre") for node names.

        Returns:
            With `reply`, [{node name: answer}] of those who answered, else None.

        Raises:
            ConfigurationError: The arguments are no plain data, or too many bytes.
            OperationalError: The broker cannot be reached.
            TypeError: An option is unknown.
        """
        request = Request(
            command=command,
            arguments=arguments or {},
            destination=destination,
            timeout_s=options.pop("timeout", 1.0),
            **_known(options),
        )
        if not reply:
            tell(self.app, request)
            return None
        return [{node: answer} for node, answer in ask(self.app, request)]

    def ping(
        self, destination: Sequence[str] | str | None = None, timeout: float = 1.0, **options: Any
    ) -> list[dict[str, Any]]:
        """Ask workers whether they are there: [{node name: {"ok": "pong"}}]."""
        found = self.broadcast(
            "ping", destination=destination, reply=True, timeout=timeout, **options
        )
        return found or []

    def rate_limit(
        self,
        task_name: str,
        rate_limit: str | float | None,
        destination: Sequence[str] | str | None = None,
        **options: Any,  # as `broadcast`
    ) -> list[dict[str, Any]] | None:
        """Change the rate limit of a task on each worker, at once; 0 lifts it."""
        arguments = {"task_name": task_name, "rate_limit": rate_limit}
        return self.broadcast("rate_limit", arguments, destination, **options)

    def time_limit(
        self,
        task_name: str,
        soft: float | None = None,
        hard: float | None = None,
        destination: Sequence[str] | str | None = None,
        **options: Any,  # as `broadcast`
    ) -> list[dict[str, Any]] | None:
        """Change the time limits of a task, seconds, for runs that have not begun yet."""
        arguments = {"task_name": task_name, "soft": soft, "hard": hard}
        return self.broadcast("time_limit", arguments, destination, **options)

    def add_consumer(
        self,
        queue: str,
        exchange: str | None = None,
        exchange_type: str | None = "direct",
        routing_key: str | None = None,
        options: Mapping[str, Any] | None = None,
        destination: Sequence[str] | str | None = None,
        **broadcast_options: Any,  # as `broadcast`
    ) -> list[dict[str, Any]] | None:
        """Have workers serve one more queue. There are no exchanges: they are not looked at."""
        del exchange, exchange_type, routing_key, options
        return self.broadcast("add_consumer", {"queue": queue}, destination, **broadcast_options)

    def cancel_consumer(
        self, queue: str, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Have workers take nothing more from a queue."""
        return self.broadcast("cancel_consumer", {"queue": queue}, destination, **options)

    def pool_grow(
        self, n: int = 1, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Add slots to each worker."""
        return self.broadcast("pool_grow", {"n": n}, destination, **options)

    def pool_shrink(
        self, n: int = 1, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Take slots from each worker, idle ones first; no running task is ended."""
        return self.broadcast("pool_shrink", {"n": n}, destination, **options)

    def pool_restart(
        self, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Replace slot processes when what they run has ended; code is not loaded again."""
        return self.broadcast("pool_restart", {}, destination, **options)

    def shutdown(
        self, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Stop workers as SIGTERM does."""
        return self.broadcast("shutdown", {}, destination, **options)

    def enable_events(
        self, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Accepted; task events come in a later version, and the workers say so."""
        return self.broadcast("enable_events", {}, destination, **options)

    def disable_events(
        self, destination: Sequence[str] | str | None = None, **options: Any
    ) -> list[dict[str, Any]] | None:
        """Accepted; task events come in a later version, and the workers say so."""
        return self.broadcast("disable_events", {}, destination, **options)

    def _revoked_result(self, task_id: str) -> StoredResult | None:
        settings = self.app.conf.current
        if not settings.results_enabled:
            return None
        about = codec.About(now_ms=round(time.time() * 1000), serializer=settings.result_serializer)
        payload = codec.encode_revoked(task_id, "revoked", about)
        return StoredResult(payload=payload, ttl_ms=round((settings.result_expires or 0) * 1000))


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a broadcast, without those that mean nothing here."""
    unknown = options.keys() - {"limit", "callback", "pattern", "matcher", "connection", "channel"}
    if unknown:
        known = "timeout, limit, callback, pattern, matcher"
        msg = f"Unknown options: {', '.join(sorted(unknown))}. Expected some of: {known}."
        raise TypeError(msg)
    return {k: v for k, v in options.items() if k not in ("connection", "channel")}


def _signal_name(signal_name: str) -> str:
    """Return the name as Python knows it; "KILL" and "SIGKILL" are the same."""
    name = signal_name.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        known = signal.Signals.__members__
        msg = f"{signal_name!r} is not a signal.{nearest(name, known)} Expected e.g. 'SIGTERM'."
        raise ConfigurationError(msg)
    return name
