"""Connections to Redis: packed commands out, replies in, third-party errors turned into ours.

redis-py opens, authenticates and secures the sockets; commands are packed once and sent as bytes,
because its per-call path costs more than the script it calls. Scripts a server does not know are
loaded on the first refusal.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import ConnectionPool
from redis.retry import Retry

from windlass.errors import (
    BrokerAccessError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    ConfigurationError,
    OperationalError,
)
from windlass.redis_store.scripts import by_sha

#: A connection that was used so recently, seconds, is not looked at before it is used again.
_FRESH_S = 1.0
Reply = Any  # what a script returns: nested lists of bytes and ints, shaped by its header


def safe_url(url: str) -> str:
    """Return the url without its password, for messages and logs."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user = parts.username or ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{host}"))


@contextmanager
def our_errors(url: str) -> Iterator[None]:
    """Turn redis-py's errors into ours, naming the server but never the password."""
    try:
        yield
    except redis.AuthenticationError as error:
        raise BrokerAccessError(
            f"The broker at {safe_url(url)} refused the credentials: {_clause(error)}. Check user "
            "and password in broker_url."
        ) from error
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        raise OperationalError(
            f"The broker at {safe_url(url)} cannot be reached: {_clause(error)}. Check that it "
            "runs and that broker_url names its host, port and TLS setting."
        ) from error
    except redis.RedisError as error:
        raise server_error(error) from error


#: Refusals that pass: the server is starting, failing over, busy, or cannot write to its disk.
_NOT_NOW = (
    "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "UNBLOCKED",
    "BUSY",
)  # fmt: skip


def server_error(error: Exception) -> BrokerError:
    """Turn an error that the server answered with into ours."""
    text = str(error)
    if is_full(error):
        return BrokerFullError()
    if _is(error, redis.ReadOnlyError, "-READONLY"):
        return BrokerReadOnlyError()
    if (access := _access_error(error, text)) is not None:
        return access
    if isinstance(error, redis.exceptions.AskError):  # MOVED is one
        return BrokerError(
            f"The broker is a node of a Redis Cluster that does not hold this keyspace ({text}). "
            "Point broker_url at the node that does."
        )
    passing = (redis.exceptions.ClusterDownError, redis.exceptions.TryAgainError)
    if isinstance(error, passing) or any(
        text.startswith(code) or f"-{code}" in text for code in _NOT_NOW
    ):
        return OperationalError(f"The broker is not ready: {text}. It is asked again.")
    return BrokerError(f"The broker answered with an error: {text}.")


def _access_error(error: Exception, text: str) -> BrokerAccessError | None:
    if "NOAUTH" in text or "unauthenticated" in text:  # the latter is what a long command gets
        return BrokerAccessError(
            "The broker refused the credentials: it asks for a password, and broker_url has none."
        )
    if _is(error, redis.exceptions.NoPermissionError, "-NOPERM"):
        return BrokerAccessError(f"The broker refused a command: {text}. Check the user's ACL.")
    return None


def _clause(error: Exception) -> str:
    """The client's own sentence, to be continued by ours."""
    return str(error).rstrip(". ")


def is_full(error: object) -> bool:
    """Whether the server refused for want of memory."""
    return _is(error, redis.exceptions.OutOfMemoryError, "-OOM command not allowed")


def _is(error: object, kind: type[Exception], marker: str) -> bool:
    """Ask for an error's kind; Redis 6.2 quotes the refusal of a script's command as text."""
    return isinstance(error, kind) or (
        isinstance(error, redis.ResponseError) and marker in str(error)
    )


class Link:
    """One connection. Not thread-safe; a forked child opens its own."""

    def __init__(self, pool: ConnectionPool, url: str) -> None:
        self._pool = pool
        self._url = url
        self._connection: Any = None
        self._pid = 0
        self._used_at = 0.0
        self._within_s: float | None = None

    def drop_if_stale(self) -> None:
        """Close a connection that the server closed, or filled with something, while it was idle.

        So a restart or an idle time-out of the server costs a reconnect and not a failed call.
        """
        is_ours = self._connection is not None and self._pid == os.getpid()
        if not is_ours or monotonic() - self._used_at < _FRESH_S:
            return
        try:
            is_stale = self._connection.is_connected and self._connection.can_read(0)
        except (redis.RedisError, OSError):
            is_stale = True
        if is_stale:
            self.close()

    def open(self, within_s: float | None = None) -> Any:
        """Return the redis-py connection, connected in this process.

        Args:
            within_s: Reads of the calls to come fail after so long; None for the usual time-out.
        """
        if self._connection is None or self._pid != os.getpid():
            # A connection inherited over a fork belongs to the parent: it is dropped, not closed.
            self._connection, self._pid = self._pool.make_connection(), os.getpid()
        connection = self._connection
        if not connection.is_connected:
            usual = connection.socket_timeout, connection.socket_connect_timeout
            if within_s is not None:
                connection.socket_timeout = connection.socket_connect_timeout = within_s
            try:
                with our_errors(self._url):
                    connection.connect()
            finally:
                connection.socket_timeout, connection.socket_connect_timeout = usual
        if within_s != self._within_s or within_s is not None:
            connection.update_current_socket_timeout(-1 if within_s is None else within_s)
            self._within_s = within_s
        return connection

    def close(self) -> None:
        """Close the socket, if this process opened it."""
        if self._connection is not None and self._pid == os.getpid():
            self._connection.disconnect()
        self._connection = None

    def interrupt(self) -> None:
        """End a call that another thread blocks in: it fails there with OperationalError."""
        sock = getattr(self._connection, "_sock", None)
        if sock is not None and self._pid == os.getpid():
            with suppress(OSError):  # not connected any more: nobody blocks
                sock.shutdown(socket.SHUT_RDWR)

    def call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Reply]:
        """Send packed commands in one write and return one reply for each.

        Args:
            commands: Packed.
            within_s: A server that hangs is given up after so long; None for the usual time-out.

        Raises:
            OperationalError: Connection lost. What the server did is unknown.
            BrokerError: The server refused one of them; the others may have been done.
        """
        replies = self.try_call(commands, within_s)
        for reply in replies:
            if isinstance(reply, Exception):
                raise server_error(reply)
        return replies

    def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Reply]:
        """As `call`, with the server's refusals as exceptions in the list."""
        connection = self.open(within_s)
        replies = self._exchange(connection, commands)
        missing = [
            index
            for index, reply in enumerate(replies)
            if isinstance(reply, redis.exceptions.NoScriptError)
        ]
        if missing:
            again = [commands[index] for index in missing]
            loads = {load: None for command in again for load in load_commands(command)}
            answers = self._exchange(connection, [*loads, *again])
            for index, answer in zip(missing, answers[len(loads) :], strict=True):
                replies[index] = answer
        return replies

    def _exchange(self, connection: Any, commands: Sequence[bytes]) -> list[Reply]:
        with our_errors(self._url):
            connection.send_packed_command(
                (commands[0] if len(commands) == 1 else b"".join(commands),), False
            )
            replies = [_read(connection) for _ in commands]
        self._used_at = monotonic()
        return replies


def _read(connection: Any) -> Reply:
    try:
        return connection.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error


def load_commands(command: bytes) -> list[bytes]:
    """Return the SCRIPT LOAD that a packed EVALSHA (`*n $7 EVALSHA $40 <sha> ...`) needs."""
    sha = command.split(b"\r\n", 5)[4]
    return [by_sha()[sha].load_command]


def socket_settings(url: str) -> dict[str, Any]:
    """Return redis-py's connection arguments that sync and async connections share. Seconds."""
    settings: dict[str, Any] = {
        "socket_connect_timeout": 5.0,
        "socket_timeout": 30.0,
        "protocol": 2,
        "health_check_interval": 0,
    }
    if not url.startswith("unix:"):
        settings["socket_keepalive"] = True
    return settings


class Links:
    """Connections of one url: a small free list shared by threads, and pool-wide settings."""

    def __init__(self, url: str, *, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        settings = {**socket_settings(url), "retry": Retry(NoBackoff(), 0), **(options or {})}
        try:
            self.pool = ConnectionPool.from_url(url, **settings)
        except ValueError as error:
            raise ConfigurationError(
                f"broker_url {safe_url(url)!r} is not usable: {error}. Expected "
                "redis://[user:password@]host[:port]/db, rediss://… for TLS, or unix://path."
            ) from error
        self._free: list[Link] = []  # pop and append are atomic

    def link(self) -> Link:
        """Return a connection of one's own, e.g. for a blocking call."""
        return Link(self.pool, self.url)

    def call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Reply]:
        """Borrow a connection and `Link.call`."""
        replies = self.try_call(commands, within_s)
        for reply in replies:
            if isinstance(reply, Exception):
                raise server_error(reply)
        return replies

    def try_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Reply]:
        """Borrow a connection and `Link.try_call`."""
        try:
            link = self._free.pop()
            link.drop_if_stale()
        except IndexError:
            link = self.link()
        try:
            replies = link.try_call(commands, within_s)
        except BaseException:
            # An interrupt in the middle of a reply leaves bytes behind that belong to nobody.
            link.close()
            raise
        if any(isinstance(reply, Exception) and not is_full(reply) for reply in replies):
            # After a failover the same address may lead to the new primary: connect again.
            link.close()
        self._free.append(link)
        return replies

    def close(self) -> None:
        """Close the free connections."""
        while self._free:
            self._free.pop().close()
