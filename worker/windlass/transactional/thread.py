"""A relay in a thread of the process that writes the rows: published right after each commit."""

from __future__ import annotations

import threading
from typing import Any

from windlass.transactional.relay import Relay


class RelayThread:
    """What both kinds of outbox have in common. `relay` makes the relay of its table."""

    _relay: Relay | None = None
    _thread: threading.Thread | None = None

    def relay(self, **options: Any) -> Relay:
        """Return a relay of the table, see `windlass.transactional.relay.Relay`."""
        raise TypeError(f"{type(self).__name__} has no table. Expected one of its subclasses.")

    def start(self, **options: Any) -> None:
        """Publish from a thread of this process, at once after each commit; `stop` ends it.

        Args:
            **options: As for `windlass.transactional.relay.Relay`.
        """
        if self._relay is None:
            self._relay = self.relay(**options)
            self._thread = threading.Thread(
                target=self._run, args=(self._relay,), name="windlass-outbox", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread of `start` after its step; what is left in the table stays there."""
        relay, thread = self._relay, self._thread
        self._relay = self._thread = None
        if relay is not None and thread is not None:
            relay.stop()
            thread.join()

    def _run(self, relay: Relay) -> None:
        relay.run()
