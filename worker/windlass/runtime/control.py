"""The thread that listens for what is said to workers at large: revoke, shut down, remote commands.

What it hears are hints that may be missed; tombstones in the broker are what a revoke rests on.
A remote command ("call") is answered by this thread, with what the supervisor's loop lets it see:
slots may be as busy as they like. Next in the walk: `windlass.runtime.remote`, loaded on first use.
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


class InLoop:
    """Work for the supervisor's loop, asked for and waited for by another thread.

    Args:
        work: Called as work(now) between two turns; what it returns or raises goes to the waiter.
    """

    def __init__(self, work: Callable[[float], Any]) -> None:
        self._work = work
        self._done = threading.Event()
        self._value: Any = None
        self._error: Exception | None = None

    def run(self, now: float) -> None:
        """Do it; for the loop."""
        try:
            self._value = self._work(now)
        except Exception as error:  # it is the waiter's, and must not end the loop
            self._error = error
        self._done.set()

    def result(self, timeout_s: float) -> Any:
        """Wait for what came of it.

        Raises:
            TimeoutError: The loop did not come by in time.
        """
        if not self._done.wait(timeout_s):
            msg = f"The worker's loop did not answer within {timeout_s:g} s."
            raise TimeoutError(msg)
        if self._error is not None:
            raise self._error
        return self._value


class ControlListener:
    """The thread.

    Args:
        broker: Listened on; interrupted to stop.
        post: Takes each ControlMessage that is no call.
        on_call: Answers a call, in this thread.
        on_listening: Called when the broker has the subscription, and again each round.
    """

    def __init__(
        self,
        broker: Any,
        post: Callable[[object], None],
        on_call: Callable[[Any], None] = lambda _message: None,
        on_listening: Callable[[], object] = lambda: None,
    ) -> None:
        self._broker = broker
        self._post = post
        self._on_call = on_call
        self._on_listening = on_listening
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
                for message in self._broker.control_messages(LISTEN_S, self._on_listening):
                    if message.kind == "call":
                        self._on_call(message)
                    else:
                        self._post(message)
                backoff.reset()
            except BrokerError as error:
                log.debug(events.CONTROL_LISTENER_FAILED, error=str(error))
                self._stop.wait(backoff.next_s())
            except Exception:
                log.exception(events.CONTROL_LISTENER_FAILED)
                self._stop.wait(backoff.next_s())
