"""Waiting for work without polling: one blocking pop over the wake lists, then a fetch.

The server serves blocking time-outs about ten times a second, too coarse for a message that
becomes due in 40 ms. So a short wait is timed here, on the socket, and the pop that still blocks
is called off by CLIENT UNBLOCK; without the right to do that, its connection is closed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from windlass.redis_store.connection import Link, Links, our_errors, server_error
from windlass.redis_store.resp import packed
from windlass.redis_store.wire import Refusal, Reply, Wire

#: Waits of at least this long are left to the server: nothing is due at their end.
_SERVER_TIMED_S = 4.5
#: Between two tries to call off a pop, seconds.
_PAUSE_S = 0.005
#: After so long a pop that is not called off belongs to a server that hangs, seconds.
_CALL_OFF_S = 2.0
#: Stands for the id of a connection that may not ask for its own: nobody has it.
_UNKNOWN = 0


class WakeLink:
    """A connection to block on and one to call it off by. For one thread."""

    def __init__(self, links: Links) -> None:
        self._url = links.url
        self._blocking: Link = links.link()
        self._command: Link = links.link()
        self._client_id: int | None = None
        self._connection: Wire | None = None

    def wait_and_call(self, wake_keys: Sequence[bytes], timeout_s: float, command: bytes) -> Reply:
        """Block until a wake token or the time-out, then run one packed call; return its reply."""
        connection = self._blocking.open()
        if connection is not self._connection or self._client_id is None:
            # Without the right to ask, the connection is closed to end a wait.
            answer = self._blocking.try_call([packed("CLIENT", "ID")])[0]
            self._client_id = answer if isinstance(answer, int) else _UNKNOWN
            self._connection = connection
        server_timed = timeout_s >= _SERVER_TIMED_S
        limit = timeout_s if server_timed else timeout_s + 5
        pop = packed("BLPOP", *wake_keys, f"{limit:.3f}")
        with our_errors(self._url):
            connection.send(pop)
            if connection.can_read(timeout_s + 2 if server_timed else timeout_s):
                popped = connection.try_read()
                if isinstance(popped, Refusal):  # the queue has moved to another server
                    self._blocking.turned_away(popped)
                return self._blocking.call([command])[0]
        return self._call_off(connection, command)

    def _call_off(self, connection: Wire, command: bytes) -> Reply:
        if self._client_id == _UNKNOWN:
            self._blocking.close()
            return self._command.call([command])[0]
        unblock = packed("CLIENT", "UNBLOCK", str(self._client_id))
        called_off, reply = self._command.try_call([unblock, command])
        if isinstance(called_off, Exception) or not self._ended(connection, unblock, called_off):
            self._blocking.close()
            self._client_id = None
        if isinstance(reply, Exception):
            raise server_error(reply)
        return reply

    def _ended(self, connection: Wire, unblock: bytes, called_off: int) -> bool:
        """Read the pop's reply; False when there is none to be had.

        The pop may have ended by itself, or not have reached the server yet: until its reply is
        there, it is called off again. A server that took over from one that hangs knows of none.
        """
        deadline = monotonic() + _CALL_OFF_S
        with our_errors(self._url):
            while not called_off and not connection.can_read(_PAUSE_S):
                if monotonic() > deadline or self._command.place != self._blocking.place:
                    return False
                called_off = self._command.call([unblock])[0]
            # Whether a token came or not makes no difference: the call has been made.
            connection.try_read()
        return True

    def end(self, links: Links) -> None:
        """Have a wait of another thread end as at its time-out: the call is made, nothing is lost.

        Args:
            links: Connections of the calling thread. Without the right to call off, nothing is
                done.
        """
        client_id = self._client_id
        if client_id is not None and client_id != _UNKNOWN:
            links.call([packed("CLIENT", "UNBLOCK", str(client_id))])

    def interrupt(self) -> None:
        """End a wait of another thread: it fails there with OperationalError."""
        self._blocking.interrupt()

    def close(self) -> None:
        """Close both connections."""
        self._blocking.close()
        self._command.close()
        self._client_id = None


class ChannelLink:
    """A subscription to one channel. For one thread; subscribes again after a reconnect."""

    def __init__(self, links: Links, channel: bytes) -> None:
        self._url = links.url
        self._link = links.link()
        self._channel = channel
        self._connection: Wire | None = None

    def subscribe(self) -> None:
        """Subscribe now, and return when the server has: nothing that comes later is missed."""
        connection = self._link.open()
        if connection is self._connection:
            return
        with our_errors(self._url):
            connection.send(packed("SUBSCRIBE", self._channel))
            connection.read()
        self._connection = connection

    def next_payload(self, timeout_s: float) -> bytes | None:
        """Return the next payload, or None after the time-out."""
        connection = self._link.open()
        with our_errors(self._url):
            if connection is not self._connection:
                connection.send(packed("SUBSCRIBE", self._channel))
                self._connection = connection
            while connection.can_read(timeout_s):
                kind, _, payload = connection.read()[:3]
                if kind == b"message":
                    return bytes(payload)
        return None

    def interrupt(self) -> None:
        """End a wait of another thread: it fails there with OperationalError."""
        self._link.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()
        self._connection = None
