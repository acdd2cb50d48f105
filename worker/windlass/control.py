"""`app.control`: revoke and purge. Both speak to the broker alone, so they need no worker."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from windlass.brokers.base import StoredResult
from windlass.errors import ConfigurationError, nearest
from windlass.results import codec
from windlass.routing import declared_queues
from windlass.states import Stage

if TYPE_CHECKING:
    from windlass.app import Windlass


class Control:
    """Remote control of what was sent.

    Args:
        app: Whose broker is spoken to.
    """

    def __init__(self, app: Windlass) -> None:
        self.app = app

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

    def terminate(self, task_id: str | Iterable[str], signal: str = "SIGTERM") -> dict[str, Stage]:
        """Revoke, and end the process that runs it."""
        return self.revoke(task_id, terminate=True, signal=signal)

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

    def _revoked_result(self, task_id: str) -> StoredResult | None:
        settings = self.app.conf.current
        if not settings.results_enabled:
            return None
        about = codec.About(now_ms=round(time.time() * 1000), serializer=settings.result_serializer)
        payload = codec.encode_revoked(task_id, "revoked", about)
        return StoredResult(payload=payload, ttl_ms=round((settings.result_expires or 0) * 1000))


def _signal_name(signal_name: str) -> str:
    """Return the name as Python knows it; "KILL" and "SIGKILL" are the same."""
    name = signal_name.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        known = signal.Signals.__members__
        msg = f"{signal_name!r} is not a signal.{nearest(name, known)} Expected e.g. 'SIGTERM'."
        raise ConfigurationError(msg)
    return name
