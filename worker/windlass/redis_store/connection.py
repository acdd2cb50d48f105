"""Connections to Redis: packed commands out, replies in, errors of the wire turned into ours.

Commands are packed once and sent as bytes. Scripts a server does not know are loaded on the first
refusal.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

import hiredis

from windlass.errors import (
    BrokerAccessError,
    BrokerError,
    BrokerFullError,
    BrokerReadOnlyError,
    OperationalError,
)
from windlass.redis_store.address import Address, read_address, safe_url
from windlass.redis_store.resending import MOST_LOADS, to_send_again
from windlass.redis_store.scripts import load_commands
from windlass.redis_store.wire import AccessRefusedError, Refusal, Reply, Wire

if TYPE_CHECKING:
    from windlass.redis_store.routes import Route

#: A connection that was used so recently, seconds, is not looked at before it is used again.
_FRESH_S = 1.0
#: Schemes of a single server; all others are `topology`'s.
_SINGLE = ("redis", "rediss", "unix")
#: How often a call is sent on before it counts as failed.
MOST_MOVES = 5


@contextmanager
def our_errors(url: str, address: Address | None = None) -> Iterator[None]:
    """Turn errors of the wire into ours, naming the server but never the password.

    Args:
        url: Of the server.
        address: Known where a connection is made: why it could not be is said with its options.
    """
    try:
        yield
    except AccessRefusedError as error:
        if address is not None and address.has_files:
            raise _refused_files(url, address, error) from error
        raise BrokerAccessError(
            f"The broker at {safe_url(url)} refused the credentials: {_clause(error)}. Check user "
            "and password in broker_url."
        ) from error
    except (OSError, hiredis.ProtocolError) as error:
        if (trouble := _tls_error(url, error)) is not None:
            raise trouble from error
        raise OperationalError(
            f"The broker at {safe_url(url)} cannot be reached: {_clause(error)}. Check that it "
            "runs and that broker_url names its host, port and TLS setting."
        ) from error
    except Refusal as error:
        raise server_error(error) from error


def _refused_files(url: str, address: Address, error: Exception) -> OperationalError:
    """Credentials of files may be others by the next try: it is no refusal for good."""
    files = " and ".join(filter(None, (address.username_file, address.password_file)))
    return OperationalError(
        f"The broker at {safe_url(url)} refused the credentials in {files}: {_clause(error)}. They "
        "are read again at the next try; check that they are those of the server."
    )


def _tls_error(url: str, error: Exception) -> BrokerError | None:
    if "ssl" not in sys.modules:
        return None
    from windlass.redis_store.tls_errors import tls_error  # noqa: PLC0415 - needs the ssl module

    return tls_error(safe_url(url), error)


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
            "Write redis+cluster://host:port in broker_url: then the node that does is found."
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
    """One connection, made on first use. Not thread-safe; a forked child opens its own.

    Args:
        address: Of the server, or what all servers of the route have in common.
        route: Where the server is, if that may change: asked before each connect.
    """

    def __init__(self, address: Address, route: Route | None = None) -> None:
        self._address = address
        self._route = route
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
            wire = self._wire = self._connect(within_s)
            self._pid = os.getpid()
        wire.set_timeout(self._address.socket_timeout if within_s is None else within_s)
        return wire

    def plain_wire(self) -> Wire | None:
        """Return the socket if it is connected, not encrypted and its server the only one.

        To be used at once: it counts as used now.
        """
        wire = self._wire
        if wire is None or self._route is not None or self._pid != os.getpid():
            return None
        if not wire.is_plain or wire.fileno() < 0:
            return None
        self._used_at = monotonic()
        wire.set_timeout(self._address.socket_timeout)
        return wire

    def _connect(self, within_s: float | None) -> Wire:
        route = self._route
        if route is not None:
            self._address = route.locate()
        try:
            with our_errors(self._address.url, self._address):
                return Wire(self._address, within_s)
        except BrokerError:
            self._lost()
            raise

    def _lost(self) -> None:
        self.close()
        if self._route is not None:
            self._route.forget()

    @property
    def place(self) -> tuple[object, ...]:
        """The server that it is, or was, connected to."""
        return self._address.host, self._address.port, self._address.path

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
        replies = self._try_call(commands, within_s)
        if self._route is not None:
            replies = self._followed(self._route, commands, replies, within_s)
        return replies

    def _try_call(self, commands: Sequence[bytes], within_s: float | None) -> list[Reply]:
        wire = self.open(within_s)
        try:
            replies = _exchange(wire, commands)
            for _ in range(MOST_LOADS):
                again = to_send_again(commands, replies)
                if not again:
                    break
                loads = load_commands()
                answers = _exchange(wire, [*loads, *(commands[index] for index in again)])
                for index, answer in zip(again, answers[len(loads) :], strict=True):
                    replies[index] = answer
        except (OSError, hiredis.ProtocolError):
            self._lost()
            with our_errors(self._address.url):
                raise
        self._used_at = monotonic()
        return replies

    def _followed(
        self,
        route: Route,
        commands: Sequence[bytes],
        replies: list[Reply],
        within_s: float | None,
    ) -> list[Reply]:
        """Have done elsewhere what was turned away: a command that was has done nothing.

        Raises:
            OperationalError: The server is not the one that takes writes now.
        """
        for _ in range(MOST_MOVES):
            moved = route.turned_away(self._address, commands, replies)
            if not moved:
                break
            self.close()
            again = self._try_call([commands[i] for i in moved], within_s)
            for index, answer in zip(moved, again, strict=True):
                replies[index] = answer
        for reply in replies:
            if isinstance(reply, Refusal) and route.is_elsewhere(self._address, reply):
                self.close()
                raise elsewhere(self._address.url, reply)
        return replies

    def turned_away(self, reply: Refusal) -> None:
        """Take the refusal of a blocking command: the next call goes where the server is by then.

        Raises:
            BrokerError: It was refused for another reason.
        """
        if self._route is None or not self._route.is_elsewhere(self._address, reply):
            raise server_error(reply)
        self.close()


def _exchange(wire: Wire, commands: Sequence[bytes]) -> list[Reply]:
    wire.send(commands[0] if len(commands) == 1 else b"".join(commands))
    return [wire.try_read() for _ in commands]


def elsewhere(url: str, reply: Refusal) -> OperationalError:
    """The error for a server that is not the one that counts now."""
    return OperationalError(
        f"The broker at {safe_url(url)} is not the one to ask now: {reply}. It is looked for again."
    )


def find_server(
    url: str, options: Mapping[str, Any] | None, keyspace: str
) -> tuple[Address, Route | None]:
    """Read a url: the server's address; for Sentinels and clusters also the way to the server.

    Raises:
        ConfigurationError: It cannot be read.
    """
    if url.partition("://")[0] in _SINGLE:
        return read_address(url, options), None
    from windlass.redis_store.routes import route_to  # noqa: PLC0415 - few addresses need one

    return route_to(url, options, keyspace)


class Links:
    """Connections of one url: a small free list shared by threads.

    Args:
        url: Of one server, of Sentinels or of a cluster.
        options: Of the connection, as `windlass.redis_store.address` reads them.
        keyspace: Whose keys are touched; a cluster has it on one of its nodes.
    """

    def __init__(
        self, url: str, *, options: Mapping[str, Any] | None = None, keyspace: str = ""
    ) -> None:
        self.url = url
        self._address, self._route = find_server(url, options, keyspace)
        self._free: list[Link] = []  # pop and append are atomic

    def link(self) -> Link:
        """Return a connection of one's own, e.g. for a blocking call."""
        return Link(self._address, self._route)

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

    def lend(self) -> Link | None:
        """Return a used connection, to be given to `take_back`, None if none is free."""
        try:
            link = self._free.pop()
        except IndexError:
            return None
        link.drop_if_stale()
        return link

    def take_back(self, link: Link) -> None:
        """Let others use a connection again."""
        self._free.append(link)

    def close(self) -> None:
        """Close the free connections."""
        while self._free:
            self._free.pop().close()
