"""Threads that wait for work on queues whose pools are at zero, one for each broker.

A poll finds work within a tick; this finds it in milliseconds. What it says is only "look now".
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from windlass import log as logs
from windlass.control_plane.wake import WorkListener
from windlass.errors import WindlassError
from windlass.redis_store.connection import Links

log = logs.get_logger(__name__)

_WAIT_S = 4.6
_PAUSE_S = 5.0
#: A wait that ended this much before its time was ended by work.
_EARLY_S = 0.2


class _Watcher(threading.Thread):
    def __init__(self, links: Links, tell: Callable[[], None]) -> None:
        super().__init__(name="windlass-work-watch", daemon=True)
        self._listener = WorkListener(links)
        self._tell = tell
        self._changed = threading.Event()
        self._queues: tuple[tuple[str, str], ...] = ()
        self._stopped = False

    def watch(self, queues: Sequence[tuple[str, str]]) -> None:
        self._queues = tuple(queues)
        self._changed.set()

    def stop(self) -> None:
        self._stopped = True
        self._changed.set()

    def run(self) -> None:
        while not self._stopped:
            queues = self._queues
            if not queues:
                self._changed.wait()
                self._changed.clear()
                continue
            began = time.monotonic()
            try:
                self._listener.wait(queues, _WAIT_S)
            except WindlassError:
                # The survey says what is wrong with the broker; here it is only waited out.
                time.sleep(_PAUSE_S)
                continue
            if time.monotonic() - began < _WAIT_S - _EARLY_S and not self._stopped:
                self._tell()
                time.sleep(_EARLY_S)  # one look for a burst
        self._listener.close()


class WorkWatch:
    """The watchers of all brokers."""

    def __init__(self, links_of: Callable[[str], Links], tell: Callable[[], None]) -> None:
        self._links_of = links_of
        self._tell = tell
        self._watchers: dict[str, _Watcher] = {}

    def watch(self, wanted: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Watch these (keyspace, queue) pairs: address -> pairs."""
        for url, queues in wanted.items():
            if url not in self._watchers and queues:
                self._watchers[url] = _Watcher(self._links_of(url), self._tell)
                self._watchers[url].start()
        for url, watcher in self._watchers.items():
            watcher.watch(wanted.get(url, ()))

    def stop(self) -> None:
        """End all threads; they are daemons, and end with their wait."""
        for watcher in self._watchers.values():
            watcher.stop()
