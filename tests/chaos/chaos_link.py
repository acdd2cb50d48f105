"""A link to Redis that has bad days: a TCP proxy that cuts, delays and holds back bytes.

One for each worker and one for the senders, all served by one thread. What it did it counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

#: Bytes that a slow link passes on at once.
_PIECE = 700
_CHUNK = 1 << 16


@dataclass
class Link:
    """One address that leads to the server.

    Attributes:
        port: Where it listens.
        cuts: Connections that were reset.
        delayed: Bytes that came late.
        held: Bytes that were held back by a partition.
        unanswered: Answers to be swallowed, each with a reset: the server has done it, and nobody
            is told.
    """

    port: int = 0
    cuts: int = 0
    delayed: int = 0
    held: int = 0
    unanswered: int = 0
    latency_s: float = 0.0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class Links:
    """The thread that serves them.

    Args:
        target: Port of the server; it may change.
        count: How many links.
    """

    def __init__(self, target: Callable[[], int], count: int) -> None:
        self._target = target
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self.links: list[Link] = []
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(count, started)), name="links", daemon=True
        )
        self._thread.start()
        started.result(30)

    def __getitem__(self, place: int) -> Link:
        return self.links[place]

    def close(self) -> None:
        """Cut everything and end the thread."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(30)

    def cut(self, *places: int) -> int:
        """Reset every connection of these links; of all without any. Returns how many."""

        def work() -> int:
            return sum(self._cut(self.links[place]) for place in places or range(len(self.links)))

        return self._do(work)

    def slow(self, place: int, latency_s: float) -> None:
        """Let bytes of a link come late and in small pieces; 0 ends that."""

        def work() -> None:
            self.links[place].latency_s = latency_s

        self._do(work)

    def partition(self, place: int, *, is_open: bool) -> None:
        """Hold back every byte of a link, both ways; new connections are accepted and mute."""
        gate = self.links[place].open
        self._do(gate.set if is_open else gate.clear)

    def swallow(self, place: int, answers: int) -> None:
        """Swallow the next so many answers, and reset the connections that wait for them."""

        def work() -> None:
            self.links[place].unanswered = answers

        self._do(work)

    def _do(self, work: Callable[[], T]) -> T:
        async def call() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    async def _serve(self, count: int, started: Future[None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        servers = []
        for _ in range(count):
            link = Link()
            link.open.set()
            server = await asyncio.start_server(
                lambda r, w, link=link: self._pair(link, r, w), "127.0.0.1", 0
            )
            link.port = server.sockets[0].getsockname()[1]
            self.links.append(link)
            servers.append(server)
        started.set_result(None)
        await self._over.wait()
        for server in servers:
            server.close()
        for link in self.links:
            self._cut(link)
        ended = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if ended:
            await asyncio.wait(ended, timeout=5)

    def _cut(self, link: Link) -> int:
        pairs = list(link.pairs)
        for pair in pairs:
            for writer in pair:
                _reset(writer)
        link.pairs.clear()
        link.cuts += len(pairs)
        return len(pairs)

    async def _pair(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target())
        except OSError:
            _reset(writer)
            return
        for each in (writer, up_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = (writer, up_writer)
        link.pairs.add(pair)
        ways = [
            asyncio.ensure_future(self._pump(link, reader, up_writer)),
            asyncio.ensure_future(self._pump(link, up_reader, writer, is_answer=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            link.pairs.discard(pair)
            for each in pair:
                each.close()

    async def _pump(
        self,
        link: Link,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_answer: bool = False,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if not link.open.is_set():
                    link.held += len(data)
                    await link.open.wait()
                if is_answer and link.unanswered > 0:
                    link.unanswered -= 1
                    _reset(writer)
                    return
                if link.latency_s:
                    await self._late(link, data, writer)
                else:
                    writer.write(data)
                await writer.drain()

    async def _late(self, link: Link, data: bytes, writer: asyncio.StreamWriter) -> None:
        link.delayed += len(data)
        for at in range(0, len(data), _PIECE):
            await asyncio.sleep(link.latency_s)
            writer.write(data[at : at + _PIECE])


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once, with a reset: what was on its way is lost."""
    if (sock := writer.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
