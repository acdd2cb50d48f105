"""One connection of a process on which every wait for an outcome listens.

A daemon thread owns the socket. Callers ask it to (un)subscribe and are called back on that thread:
with None when their subscription stands, after every reconnect too (look at what is stored now:
something may have been missed), with each payload, and with CLOSED when nothing more will come.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from windlass import events
from windlass.errors import BrokerError
from windlass.log import get_logger
from windlass.redis_store.connection import Links, our_errors
from windlass.redis_store.resp import packed
from windlass.redis_store.wire import Wire
from windlass.results.base import CLOSED

Listener = Callable[[bytes | None], None]
_log = get_logger(__name__)
#: A server that was silent for so long is asked whether it is there, and given up after as long
#: again, seconds: a primary that hangs may have been replaced.
_QUIET_S = 10.0
_RETRY_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Subscriber:
    """Listens on channels for many threads and event loops."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._link = links.link()
        self._listeners: defaultdict[bytes, list[Listener]] = defaultdict(list)
        self._lock = threading.Lock()
        self._requests: deque[tuple[bytes, bytes]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._is_open = True
        self._failures = 0  # to connect, in a row
        self._is_asked = False  # whether the server is there
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="windlass-results", daemon=True)
        self._thread.start()

    def subscribe(
        self, channels: Iterable[bytes], listener_for: Callable[[bytes], Listener]
    ) -> None:
        """Add a listener to each channel; it is called with None once the channel is live."""
        listeners = [(channel, listener_for(channel)) for channel in channels]
        with self._lock:
            is_open = self._is_open
            for channel, listener in listeners if is_open else ():
                self._listeners[channel].append(listener)
                self._requests.append((b"SUBSCRIBE", channel))
        if not is_open:
            _call((listener for _, listener in listeners), CLOSED)
        self._wake()

    def unsubscribe(self, listeners: Iterable[tuple[bytes, Listener]]) -> None:
        """Remove listeners; a channel without any is left."""
        with self._lock:
            for channel, listener in listeners:
                remaining = self._listeners.get(channel, [])
                if listener in remaining:
                    remaining.remove(listener)
                if not remaining:
                    self._listeners.pop(channel, None)
                    self._requests.append((b"UNSUBSCRIBE", channel))
        self._wake()

    def close(self) -> None:
        """End the thread and the connection."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._wake()
        self._thread.join(timeout=5)
        with self._lock:
            self._is_open = False
            left = [each for listeners in self._listeners.values() for each in listeners]
            self._listeners.clear()
            os.close(self._wake_write)
            if not self._thread.is_alive():  # else it would read from somebody else's file
                os.close(self._wake_read)
        _call(left, CLOSED)

    def _wake(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):  # full of wake-ups already
            if self._is_open:
                os.write(self._wake_write, b"1")

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                with our_errors(self._links.url):
                    self._listen()
            except BrokerError:
                self._link.close()
                pause = _RETRY_S[min(self._failures, len(_RETRY_S) - 1)]
                self._failures += 1
                self._closed.wait(pause)
        self._link.close()

    def _listen(self) -> None:
        connection = self._link.open()
        self._failures, self._is_asked = 0, False
        with self._lock:
            self._requests.clear()
            channels = list(self._listeners)
        if channels:
            connection.send(packed("SUBSCRIBE", *channels))
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_read, selectors.EVENT_READ, data="wake")
            selector.register(connection, selectors.EVENT_READ, data="socket")
            while not self._closed.is_set():
                ready = selector.select(_QUIET_S if self._listeners else None)
                if not ready:
                    self._ask_if_there(connection)
                for key, _ in ready:
                    if key.data == "wake":
                        os.read(self._wake_read, 4096)
                        self._send_requests(connection)
                self._read(connection)

    def _ask_if_there(self, connection: Wire) -> None:
        if self._is_asked:
            raise TimeoutError(f"no answer within {_QUIET_S} s")
        self._is_asked = True
        connection.send(packed("PING"))

    def _send_requests(self, connection: Wire) -> None:
        commands = []
        while self._requests:
            verb, channel = self._requests.popleft()
            # What counts is who listens now, not the order in which they asked.
            wanted = channel in self._listeners
            if (verb == b"SUBSCRIBE") == wanted:
                commands.append(packed(verb, channel))
        if commands:
            connection.send(b"".join(commands))

    def _read(self, connection: Wire) -> None:
        while connection.can_read(0):
            reply = connection.read()
            self._is_asked = False
            if not isinstance(reply, list) or len(reply) != 3:
                continue  # it answers that it is there
            kind, channel, payload = reply
            if kind == b"message":
                self._tell(channel, payload)
            elif kind == b"subscribe":
                self._tell(channel, None)

    def _tell(self, channel: bytes, payload: bytes | None) -> None:
        with self._lock:
            listeners = list(self._listeners.get(channel, ()))
        _call(listeners, payload)


def _call(listeners: Iterable[Listener], payload: bytes | None) -> None:
    for listener in listeners:
        try:
            listener(payload)
        except Exception:
            # One waiter's failure (its event loop closed, say) must not end everybody's waits.
            _log.exception(events.RESULT_LISTENER_FAILED)
