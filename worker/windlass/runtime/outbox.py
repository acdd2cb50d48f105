"""The thread that copies outcomes to a result backend of its own; see `results.outbox`.

Every worker has one, and any of them empties the outbox, whoever filled it: what a worker leaves
behind is copied by the next. Imported only where such a backend is configured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from windlass import connections, events
from windlass.errors import BrokerError
from windlass.log import get_logger
from windlass.redis_store.outbox import Copier
from windlass.results.outbox import OutboxResults
from windlass.runtime.exchange import Backoff

if TYPE_CHECKING:
    from windlass.app import Windlass

log = get_logger(__name__)

#: The outbox is looked at so often when no outcome of this worker came, seconds: for those of
#: workers that were lost.
_IDLE_S = 5.0
#: While another worker copies, seconds.
_BUSY_S = 0.1
#: What a worker that stops has to copy may take so long, seconds.
_LAST_S = 1.0
#: An outage is told again after so long, seconds.
_TELL_S = 60.0


def make_outbox(app: Windlass) -> OutboxThread:
    """Build the thread, with connections of its own."""
    broker = app.new_broker()
    results = connections.make_backend(app.conf.current, lambda: broker)
    if not isinstance(results, OutboxResults):
        raise TypeError("the app's results are on its broker: there is nothing to copy")

    def close() -> None:
        broker.close()
        results.close()

    return OutboxThread(results.copier(), close)


class OutboxThread:
    """Empties the outbox when something came in, and now and then.

    Args:
        copier: Does the copying, with connections of its own.
        close: Closes them.
    """

    def __init__(self, copier: Copier, close: Callable[[], None]) -> None:
        self._copier = copier
        self._close = close
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._backoff = Backoff()
        self._told_at = 0.0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start the thread; what others left behind is copied first."""
        self._due.set()
        self._thread.start()

    def hurry(self) -> None:
        """Copy soon: an outcome was stored."""
        self._due.set()

    def stop(self) -> None:
        """Let the thread end with what there is to copy; a store that is away is not waited for."""
        self._stopping.set()
        self._due.set()
        if self._thread.is_alive() and not self._backoff.tries:
            self._thread.join(_LAST_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.wait(_IDLE_S)
            self._due.clear()
            while not self._stopping.is_set() and (pause_s := self.run_once()) is not None:
                self._stopping.wait(pause_s)
        # The last outcomes of a worker that stops, if nothing is in the way.
        self.run_once()
        self._close()

    def run_once(self) -> float | None:
        """Copy a part of what is there.

        Returns:
            Seconds after which to go on; None when the outbox is empty.
        """
        try:
            copied = self._copier.run_once()
        except Exception as error:  # whatever it is, this thread goes on
            return self._failed(error)
        if self._backoff.tries:
            self._backoff.reset()
            log.info(events.RESULTS_COPIED_AGAIN)
        if copied is None:
            return _BUSY_S
        return 0.0 if copied else None

    def _failed(self, error: Exception) -> float:
        now = monotonic()
        if not self._backoff.tries or now - self._told_at > _TELL_S:
            self._told_at = now
            unforeseen = None if isinstance(error, BrokerError) else error
            log.warning(events.RESULTS_NOT_COPIED, error=str(error), exc_info=unforeseen)
        return self._backoff.next_s()
