"""The thread that listens for what is said to workers at large: revoke a running task, shut down.

What it hears are hints that may be missed; tombstones in the broker are what a revoke rests on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from windlass import events
from windlass.errors import BrokerError
from windlass.log import get_logger
from windlass.runtime.exchange import Backoff

log = get_logger(__name__)

#: How long one call listens before it looks whether it is to end, seconds.
LISTEN_S = 5.0


class ControlListener:
    """The thread. `post` takes each ControlMessage of the broker."""

    def __init__(self, broker: Any, post: Callable[[object], None]) -> None:
        self._broker = broker
        self._post = post
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; does not wait for it."""
        self._stop.set()
        self._broker.interrupt()

    def _run(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                for message in self._broker.control_messages(LISTEN_S):
                    self._post(message)
                backoff.reset()
            except BrokerError as error:
                log.debug(events.CONTROL_LISTENER_FAILED, error=str(error))
                self._stop.wait(backoff.next_s())
            except Exception:
                log.exception(events.CONTROL_LISTENER_FAILED)
                self._stop.wait(backoff.next_s())
