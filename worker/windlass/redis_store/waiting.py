"""Waiting for work without polling: one blocking pop over the wake lists, then a fetch.

The server serves blocking time-outs about ten times a second, too coarse for a message that
becomes due in 40 ms. So a short wait is timed here, on the socket, and the pop that still blocks
is called off by CLIENT UNBLOCK; without the right to do that, its connection is closed instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from windlass.redis_store.connection import Link, Links, Reply, our_errors
from windlass.redis_store.resp import packed

#: Waits of at least this long are left to the server: nothing is due at their end.
_SERVER_TIMED_S = 4.5


class WakeLink:
    """A connection to block on and one to call it off by. For one thread."""

    def __init__(self, links: Links) -> None:
        self._url = links.url
        self._blocking: Link = links.link()
        self._command: Link = links.link()
        self._client_id: int | None = None
        self._connection: Any = None

    def wait_and_call(self, wake_keys: Sequence[bytes], timeout_s: float, command: bytes) -> Reply:
        """Block until a wake token or the time-out, then run one packed call; return its reply."""
        connection = self._blocking.open()
        if connection is not self._connection or self._client_id is None:
            self._client_id = self._blocking.call([packed("CLIENT", "ID")])[0]
            self._connection = connection
        server_timed = timeout_s >= _SERVER_TIMED_S
        limit = timeout_s if server_timed else timeout_s + 5
        pop = packed("BLPOP", *wake_keys, f"{limit:.3f}")
        with our_errors(self._url):
            connection.send_packed_command((pop,), False)
            if connection.can_read(timeout_s + 2 if server_timed else timeout_s):
                connection.read_response(disable_decoding=True)
                return self._blocking.call([command])[0]
        return self._call_off(connection, command)

    def _call_off(self, connection: Any, command: bytes) -> Reply:
        unblock, reply = self._command.try_call(
            [packed("CLIENT", "UNBLOCK", str(self._client_id)), command]
        )
        if isinstance(unblock, Exception):
            self._blocking.close()
            self._client_id = None
        else:
            with our_errors(self._url):
                # Whether a token came or not makes no difference: the call has been made.
                connection.read_response(disable_decoding=True)
        if isinstance(reply, redis.RedisError):
            with our_errors(self._url):
                raise reply
        return reply

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
        self._connection: Any = None

    def next_payload(self, timeout_s: float) -> bytes | None:
        """Return the next payload, or None after the time-out."""
        connection = self._link.open()
        with our_errors(self._url):
            if connection is not self._connection or not connection.is_connected:
                connection.send_packed_command((packed("SUBSCRIBE", self._channel),), False)
                self._connection = connection
            while connection.can_read(timeout_s):
                kind, _, payload = connection.read_response(disable_decoding=True)[:3]
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
