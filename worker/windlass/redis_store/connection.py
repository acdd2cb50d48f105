"""Connections to Redis: packed commands out, replies in, errors of the wire turned into ours.

Commands are packed once and sent as bytes. Scripts a server does not know are loaded on the first
refusal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import hiredis

from windlass.errors import (
    BrokerAccessError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    OperationalError,
)
from windlass.redis_store.address import Address, read_address, safe_url
from windlass.redis_store.scripts import find
from windlass.redis_store.wire import AccessRefusedError, Refusal, Reply, Wire

#: A connection that was used so recently, seconds, is not looked at before it is used again.
_FRESH_S = 1.0


@contextmanager
def our_errors(url: str) -> Iterator[None]:
    """Turn errors of the wire into ours, naming the server but never the password."""
    try:
        yield
    except AccessRefusedError as error:
        raise BrokerAccessError(
            f"The broker at {safe_url(url)} refused the credentials: {_clause(error)}. Check user "
            "and password in broker_url."
        ) from error
    except (OSError, hiredis.ProtocolError) as error:
        raise OperationalError(
            f"The broker at {safe_url(url)} cannot be reached: {_clause(error)}. Check that it "
            "runs and that broker_url names its host, port and TLS setting."
        ) from error
    except Refusal as error:
        raise server_error(error) from error


#: Refusals that pass: the server is starting, failing over, busy, or cannot write to its disk.
_NOT_NOW = (
    "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "NOREPLICAS", "UNBLOCKED",
    "BUSY",
)  # fmt: skip


def server_error(error: Exception) -> BrokerError:
    """Turn an error that the server answered with into ours."""
    text = str(error).removeprefix("ERR ")
    if is_full(error):
        return BrokerFullError()
    if _is(error, "READONLY"):
        return BrokerReadOnlyError()
    if (access := _access_error(error, text)) is not None:
        return access
    if _is(error, "MOVED") or _is(error, "ASK"):
        return BrokerError(
            f"The broker is a node of a Redis Cluster that does not hold this keyspace ({text}). "
            "Point broker_url at the node that does."
        )
    if any(_is(error, code) for code in _NOT_NOW):
        return OperationalError(f"The broker is not ready: {text}. It is asked again.")
    return BrokerError(f"The broker answered with an error: {text}.")


def _access_error(error: Exception, text: str) -> BrokerAccessError | None:
    if "NOAUTH" in text or "unauthenticated" in text:  # the latter is what a long command gets
        return BrokerAccessError(
            "The broker refused the credentials: it asks for a password, and broker_url has none."
        )
    if _is(error, "NOPERM"):
        return BrokerAccessError(f"The broker refused a command: {text}. Check the user's ACL.")
    return None


def _clause(error: Exception) -> str:
    """The error's own sentence, to be continued by ours."""
    return str(getattr(error, "strerror", None) or error).rstrip(". ")


def is_full(error: object) -> bool:
    """Whether the server refused for want of memory."""
    return _is(error, "OOM")


def _is(error: object, code: str) -> bool:
    """Ask for a refusal's code; Redis 6.2 quotes the refusal of a script's command as text."""
    if not isinstance(error, Refusal):
        return False
    text = str(error)
    return text.startswith(f"{code} ") or f"-{code} " in text


class Link:
    """One connection, made on first use. Not thread-safe; a forked child opens its own."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._wire: Wire | None = None
        self._pid = 0
        self._used_at = 0.0

    def drop_if_stale(self) -> None:
        """Close a connection that the server closed, or filled with something, while it was idle.

        So a restart or an idle time-out of the server costs a reconnect and not a failed call.
        """
        wire = self._wire
        if wire is None or self._pid != os.getpid() or monotonic() - self._used_at < _FRESH_S:
            return
        if wire.can_read(0):
            self.close()

    def open(self, within_s: float | None = None) -> Wire:
        """Return the socket, connected in this process.

        Args:
            within_s: Reads of the calls to come fail after so long; None for the usual time-out.
        """
        wire = self._wire
        if wire is None or wire.fileno() < 0 or self._pid != os.getpid():
            # One inherited over a fork belongs to the parent, which does not notice this.
            self.close()
            with our_errors(self._address.url):
                wire = self._wire = Wire(self._address, within_s)
            self._pid = os.getpid()
        wire.set_timeout(self._address.socket_timeout if within_s is None else within_s)
        return wire

    def close(self) -> None:
        """Close the socket."""
        if self._wire is not None:
            self._wire.close()
        self._wire = None

    def interrupt(self) -> None:
        """End a call that another thread blocks in: it fails there with OperationalError."""
        if self._wire is not None and self._pid == os.getpid():
            self._wire.interrupt()

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
        wire = self.open(within_s)
        try:
            replies = _exchange(wire, commands)
            missing = [i for i, reply in enumerate(replies) if is_missing_script(reply)]
            if missing:
                again = [commands[index] for index in missing]
                loads = {load: None for command in again for load in load_commands(command)}
                answers = _exchange(wire, [*loads, *again])
                for index, answer in zip(missing, answers[len(loads) :], strict=True):
                    replies[index] = answer
        except (OSError, hiredis.ProtocolError):
            self.close()
            with our_errors(self._address.url):
                raise
        self._used_at = monotonic()
        return replies


def _exchange(wire: Wire, commands: Sequence[bytes]) -> list[Reply]:
    wire.send(commands[0] if len(commands) == 1 else b"".join(commands))
    return [wire.try_read() for _ in commands]


def is_missing_script(reply: Reply) -> bool:
    """Whether the server did not know the script."""
    return isinstance(reply, Refusal) and str(reply).startswith("NOSCRIPT")


def load_commands(command: bytes) -> list[bytes]:
    """Return the SCRIPT LOAD that a packed EVALSHA (`*n $7 EVALSHA $40 <sha> ...`) needs."""
    sha = command.split(b"\r\n", 5)[4]
    return [find(sha).load_command]


class Links:
    """Connections of one url: a small free list shared by threads, and pool-wide settings."""

    def __init__(self, url: str, *, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self._address = read_address(url, options)
        self._free: list[Link] = []  # pop and append are atomic

    def link(self) -> Link:
        """Return a connection of one's own, e.g. for a blocking call."""
        return Link(self._address)

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
