"""One socket to a Redis: connected, encrypted, authenticated; bytes out, replies in.

Not a client: what is sent was packed before, and a refusal is a reply among others. It takes the
place of redis-py's connection, which brings 6 MB of clients that nothing here uses.
Next in the walk: `windlass.redis_store.connection`, which keeps and shares them.
"""

from __future__ import annotations

import math
import select
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import hiredis

from windlass.redis_store.address import Address
from windlass.redis_store.resp import packed

Reply = Any  # what a script returns: nested lists of bytes and ints, shaped by its header
_READ_SIZE = 65_536
#: The kernel's `struct timeval`.
_TIMEVAL = struct.Struct("@ll")
_NOT_THERE = object()
#: Errors of the ssl module, which is not imported for this, that mean "nothing yet".
_WANTS_MORE = ("SSLWantReadError", "SSLWantWriteError")


class Refusal(Exception):  # noqa: N818 - a reply among others, seldom raised
    """An error that the server answered with. Its text begins with a code, say "WRONGTYPE"."""


class AccessRefusedError(Exception):
    """The server did not take user and password."""


def new_reader() -> Any:
    """Make a parser: `gets()` returns replies, refusals among them, and `nothing` for none."""
    return hiredis.Reader(replyError=Refusal, notEnoughData=_NOT_THERE)


def nothing(reply: Reply) -> bool:
    """Whether the reader had no whole reply."""
    return reply is _NOT_THERE


def greeting(address: Address) -> list[tuple[str, ...]]:
    """Return the commands that come first on a connection, by words."""
    words: list[tuple[str, ...]] = []
    if credentials := address.credentials():
        words.append(("AUTH", *credentials))
    if address.client_name:
        words.append(("CLIENT", "SETNAME", address.client_name))
    if address.db:
        words.append(("SELECT", str(address.db)))
    return words


def check_greeting(words: Sequence[tuple[str, ...]], replies: Sequence[Reply]) -> None:
    """Raise the first refusal.

    Raises:
        AccessRefusedError: It was that of user and password.
        Refusal: Another one.
    """
    for (verb, *_), reply in zip(words, replies, strict=True):
        if isinstance(reply, Refusal):
            raise AccessRefusedError(str(reply)) if verb == "AUTH" else reply


def tune(sock: socket.socket, address: Address) -> None:
    """Set a TCP socket's options."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if address.socket_keepalive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in address.socket_keepalive_options.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


class Wire:
    """A connected socket. For one thread; `interrupt` for any.

    Args:
        address: Of the server.
        timeout_s: Instead of the address' times, None: those.

    Raises:
        OSError: There is no server, or not the right one.
        AccessRefusedError: It does not take user and password.
        Refusal: It is there, and does not want to talk now.
    """

    def __init__(self, address: Address, timeout_s: float | None = None) -> None:
        connect_s = address.socket_connect_timeout if timeout_s is None else timeout_s
        self._timeout_s: float | None = -1.0
        self._reader = new_reader()
        self._sock = _connect(address, connect_s)
        self._is_plain = address.tls is None
        if self._is_plain:
            # From here on the kernel keeps time: Python's own time-outs poll before every call.
            self._sock.settimeout(None)
        try:
            self.set_timeout(connect_s)
            if words := greeting(address):
                self.send(b"".join(packed(*each) for each in words))
                check_greeting(words, [self.try_read() for _ in words])
        except BaseException:
            self._sock.close()
            raise

    @property
    def timeout_s(self) -> float:
        """A send or a read has failed after so long, seconds; inf: never."""
        return math.inf if self._timeout_s is None else self._timeout_s

    def set_timeout(self, timeout_s: float | None) -> None:
        """Give up a send or a read after so long; None: never."""
        if timeout_s == self._timeout_s:
            return
        self._timeout_s = timeout_s
        if not self._is_plain:
            self._sock.settimeout(timeout_s)
            return
        micros = 0 if timeout_s is None else max(1, round(timeout_s * 1e6))
        value = _TIMEVAL.pack(*divmod(micros, 1_000_000))
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)

    def fileno(self) -> int:
        """Readable when there is something; -1 after an error or `close`."""
        return self._sock.fileno()

    def send(self, data: bytes) -> None:
        """Send packed commands.

        Raises:
            OSError: The connection is lost, or the server takes nothing in time.
        """
        try:
            self._sock.sendall(data)
        except BlockingIOError as error:
            self.close()
            raise TimeoutError(f"it took nothing for {self._timeout_s} s") from error
        except OSError as error:
            why = error if self._is_plain else self._alert(error)
            self.close()
            raise why from None

    def _alert(self, error: OSError) -> OSError:
        """Return why a TLS server hung up: it may have said so, and nobody has read it yet."""
        try:
            self._sock.settimeout(0.1)
            self._sock.recv(1)
        except OSError as alert:
            return alert
        return error

    def read(self) -> Reply:
        """Wait for the next reply.

        Raises:
            Refusal: That is what came.
            OSError: The connection is lost, or nothing came in time.
        """
        reply = self.try_read()
        if isinstance(reply, Refusal):
            raise reply
        return reply

    def try_read(self) -> Reply:
        """As `read`; a refusal is returned, not raised.

        Raises:
            OSError: The connection is lost, or nothing came in time.
        """
        reader = self._reader
        while (reply := reader.gets()) is _NOT_THERE:
            try:
                chunk = self._sock.recv(_READ_SIZE)
            except BlockingIOError as error:
                self.close()
                raise TimeoutError(f"no answer within {self._timeout_s} s") from error
            except OSError:
                self.close()
                raise
            if not chunk:
                self.close()
                raise ConnectionResetError("it closed the connection")
            reader.feed(chunk)
        return reply

    @property
    def is_plain(self) -> bool:
        """Whether the kernel's socket is all there is: nothing is encrypted."""
        return self._is_plain

    def send_now(self, data: bytes) -> bool:
        """Send packed commands if the kernel takes them at once; else the connection is closed.

        For a plain connection. A server does nothing for half a command.
        """
        try:
            if self._sock.send(data, socket.MSG_DONTWAIT) == len(data):
                return True
        except OSError:
            pass
        self.close()
        return False

    def read_now(self) -> Reply:
        """Return the next reply if it is there, else what `nothing` knows; never waits.

        Raises:
            OSError: The connection is lost.
        """
        reply = self._reader.gets()
        if reply is not _NOT_THERE:
            return reply
        try:
            chunk = self._sock.recv(_READ_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return _NOT_THERE
        if not chunk:
            raise ConnectionResetError("it closed the connection")
        self._reader.feed(chunk)
        return self._reader.gets()

    def can_read(self, timeout_s: float) -> bool:
        """Wait until there is something to read, the connection's end included."""
        if self._reader.has_data():
            return True
        if not self._is_plain:
            return self._can_read_tls(timeout_s)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def _can_read_tls(self, timeout_s: float) -> bool:
        """As `can_read`: bytes on a TLS socket may be the protocol's own, and no reply at all."""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        deadline = monotonic() + timeout_s
        self._sock.settimeout(0)
        try:
            while True:
                try:
                    chunk = self._sock.recv(_READ_SIZE)
                except BlockingIOError:
                    chunk = None
                except OSError as error:
                    if type(error).__name__ not in _WANTS_MORE:
                        return True  # its end, as the next read will say
                    chunk = None
                if chunk is not None:
                    self._reader.feed(chunk)
                    return True
                left_s = deadline - monotonic()
                if left_s <= 0 or not poll.poll(left_s * 1000):
                    return False
        finally:
            self._sock.settimeout(self._timeout_s)

    def interrupt(self) -> None:
        """End what another thread waits for: it fails there."""
        with suppress(OSError):  # not connected any more: nobody waits
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this process' end; a process that was forked keeps its own."""
        self._sock.close()

    def __del__(self) -> None:
        # A program need not close its app, as with redis-py: no ResourceWarning for the socket.
        with suppress(AttributeError):  # it never connected
            self._sock.close()


def _connect(address: Address, timeout_s: float | None) -> socket.socket:
    if address.path is not None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(address.path)
        except BaseException:
            sock.close()
            raise
        return sock
    sock = socket.create_connection((address.host, address.port), timeout_s)
    try:
        tune(sock, address)
        if address.tls is None:
            return sock
        return address.tls.context().wrap_socket(sock, server_hostname=address.host)
    except BaseException:
        sock.close()
        raise
