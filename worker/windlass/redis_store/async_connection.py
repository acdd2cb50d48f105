"""The async twin of `connection`: the same packed commands over redis-py's asyncio sockets.

Connections belong to the event loop that opened them; each loop has its own free list.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from windlass.errors import OperationalError
from windlass.redis_store.connection import (
    Reply,
    is_full,
    load_commands,
    our_errors,
    server_error,
    socket_settings,
)


class AsyncLinks:
    """Connections of one url for whatever loop asks."""

    def __init__(self, url: str, *, options: Mapping[str, Any] | None = None) -> None:
        self.url = url
        self._settings: dict[str, Any] = {
            **socket_settings(url),
            "retry": Retry(NoBackoff(), 0),
            **(options or {}),
        }
        self._free: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, list[Any]] = (
            weakref.WeakKeyDictionary()
        )

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Any]:
        """Lend a redis-py connection for one exchange."""
        free = self._free.setdefault(asyncio.get_running_loop(), [])
        connection = free.pop() if free else self.connection()
        try:
            yield connection
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        else:
            free.append(connection)

    def connection(self) -> Any:
        """Return a connection of one's own; it connects on first use."""
        pool = ConnectionPool.from_url(self.url, **self._settings)
        return pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's gap

    async def call(self, commands: Sequence[bytes]) -> list[Reply]:
        """Send packed commands in one write and return one reply for each; as `Link.call`."""
        replies = await self.try_call(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise server_error(reply)
        return replies

    async def try_call(self, commands: Sequence[bytes]) -> list[Reply]:
        """As `call`, with the server's refusals as exceptions in the list."""
        try:
            with our_errors(self.url):
                return await self._try_call(commands)
        except OperationalError:
            # The free ones of this loop have met the same end; a retry must not try them in turn.
            await self.close()
            raise

    async def _try_call(self, commands: Sequence[bytes]) -> list[Reply]:
        async with self.borrow() as connection:
            replies = await _exchange(connection, commands)
            missing = [i for i, r in enumerate(replies) if _is_missing_script(r)]
            if missing:
                again = [commands[i] for i in missing]
                loads = {load: None for command in again for load in load_commands(command)}
                answers = await _exchange(connection, [*loads, *again])
                for index, answer in zip(missing, answers[len(loads) :], strict=True):
                    replies[index] = answer
            if any(isinstance(r, Exception) and not is_full(r) for r in replies):
                # After a failover the same address may lead to the new primary.
                await connection.disconnect()
        return replies

    async def close(self) -> None:
        """Close this loop's free connections."""
        for connection in self._free.pop(asyncio.get_running_loop(), []):
            await connection.disconnect()


def _is_missing_script(reply: Reply) -> bool:
    return isinstance(reply, redis.exceptions.NoScriptError)


async def _exchange(connection: Any, commands: Sequence[bytes]) -> list[Reply]:
    task = asyncio.current_task()
    cancelled = task.cancelling() if task is not None else 0
    await connection.connect()
    await connection.send_packed_command(b"".join(commands), check_health=False)
    if task is not None and task.cancelling() > cancelled:
        # redis-py sends within asyncio.wait_for, which before Python 3.12 drops a cancellation
        # that arrives as the sending ends. A time-out would be lost and its caller wait for ever.
        raise asyncio.CancelledError
    return [await _read(connection) for _ in commands]


async def _read(connection: Any) -> Reply:
    try:
        return await connection.read_response(disable_decoding=True)
    except redis.ResponseError as error:
        return error
