"""Sockets of asyncio: the async twin of `wire`, and the free ones of each event loop.

It brings asyncio, 5 MB that most workers have no use for: imported by `async_connection` with the
first async call.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from windlass.redis_store.address import Address
from windlass.redis_store.resp import packed
from windlass.redis_store.wire import Reply, check_greeting, greeting, new_reader, nothing, tune

if TYPE_CHECKING:
    from windlass.redis_store.routes import Route

_READ_SIZE = 65_536


class AsyncWire:
    """A connected socket of one event loop; as `wire.Wire`."""

    def __init__(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._timeout_s = address.socket_timeout
        self._reader = reader
        self._writer = writer
        self._parser = new_reader()

    @classmethod
    async def open(cls, address: Address) -> AsyncWire:
        """Connect; raises as `wire.Wire`."""
        async with _within(address.socket_connect_timeout):
            wire = cls(address, *await _connect(address))
            try:
                if words := greeting(address):
                    replies = await wire.exchange([packed(*each) for each in words])
                    check_greeting(words, replies)
            except BaseException:
                wire.close()
                raise
            return wire

    async def exchange(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send packed commands in one write and return their replies, refusals among them.

        Raises:
            OSError: The connection is lost, or a reply did not come in time.
        """
        self._writer.write(b"".join(commands))
        await self._writer.drain()
        return [await self._read() for _ in commands]

    async def _read(self) -> Reply:
        while nothing(reply := self._parser.gets()):
            async with _within(self._timeout_s):
                chunk = await self._reader.read(_READ_SIZE)
            if not chunk:
                raise ConnectionResetError("it closed the connection")
            self._parser.feed(chunk)
        return reply

    @property
    def is_lost(self) -> bool:
        """Whether its end was seen while it was idle."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Close it, at once."""
        self._writer.transport.abort()


@asynccontextmanager
async def _within(timeout_s: float | None) -> AsyncIterator[None]:
    timer = asyncio.timeout(timeout_s)
    try:
        async with timer:
            yield
    except TimeoutError as error:
        if timer.expired():
            raise TimeoutError(f"no answer within {timeout_s} s") from error
        raise


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.path is not None:
        return await asyncio.open_unix_connection(address.path)
    tls = None if address.tls is None else address.tls.context()
    reader, writer = await asyncio.open_connection(address.host, address.port, ssl=tls)
    tune(writer.get_extra_info("socket"), address)
    return reader, writer


class AsyncWires:
    """Connections to one address, each of the event loop that opened it."""

    def __init__(self, address: Address, route: Route | None) -> None:
        self._address = address
        self._route = route
        self._free: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[AsyncWire]] = (
            weakref.WeakKeyDictionary()
        )

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[AsyncWire]:
        """Lend a connection for one exchange."""
        free = self._free.setdefault(asyncio.get_running_loop(), [])
        while free:
            wire = free.pop()
            if not wire.is_lost:
                break
            wire.close()
        else:
            wire = await AsyncWire.open(await self._located())
        try:
            yield wire
        except BaseException:
            wire.close()
            raise
        if not wire.is_lost:
            free.append(wire)

    async def _located(self) -> Address:
        if self._route is None:
            return self._address
        return await asyncio.to_thread(self._route.locate)  # it asks other servers, and blocks

    async def close(self) -> None:
        """Close this loop's free connections."""
        for wire in self._free.pop(asyncio.get_running_loop(), []):
            wire.close()
        await asyncio.sleep(0)  # a transport is closed in the loop's next turn
