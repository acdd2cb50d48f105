"""The async twin of `connection`: the same packed commands for whatever event loop calls.

Next in the walk: `windlass.redis_store.async_wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windlass.errors import OperationalError
from windlass.redis_store.connection import (
    MOST_MOVES,
    elsewhere,
    find_server,
    is_full,
    our_errors,
    server_error,
)
from windlass.redis_store.resending import MOST_LOADS, to_send_again
from windlass.redis_store.scripts import load_commands
from windlass.redis_store.wire import Refusal, Reply

if TYPE_CHECKING:
    from windlass.redis_store.async_wire import AsyncWires
    from windlass.redis_store.routes import Route


class AsyncLinks:
    """Connections to one address; as `connection.Links`."""

    def __init__(
        self, url: str, *, options: Mapping[str, Any] | None = None, keyspace: str = ""
    ) -> None:
        self.url = url
        self._address, self._route = find_server(url, options, keyspace)
        self._wires: AsyncWires | None = None

    def _opened(self) -> AsyncWires:
        if self._wires is None:
            # Here, since it brings asyncio: 5 MB that most workers have no use for.
            from windlass.redis_store.async_wire import AsyncWires  # noqa: PLC0415

            self._wires = AsyncWires(self._address, self._route)
        return self._wires

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
            with our_errors(self.url, self._address):
                replies = await self._try_call(commands)
                if self._route is None:
                    return replies
                return await self._followed(self._route, commands, replies)
        except OperationalError:
            # The free ones of this loop have met the same end; a retry must not try them in turn.
            await self.close()
            if self._route is not None:
                self._route.forget()
            raise

    async def _followed(
        self, route: Route, commands: Sequence[bytes], replies: list[Reply]
    ) -> list[Reply]:
        """As `Link._followed`."""
        import asyncio  # noqa: PLC0415 - it is there: this runs in its loop

        for _ in range(MOST_MOVES):
            # It may have to connect, which blocks.
            moved = await asyncio.to_thread(route.turned_away, self._address, commands, replies)
            if not moved:
                break
            await self.close()
            again = await self._try_call([commands[i] for i in moved])
            for index, answer in zip(moved, again, strict=True):
                replies[index] = answer
        for reply in replies:
            if isinstance(reply, Refusal) and route.is_elsewhere(self._address, reply):
                raise elsewhere(self.url, reply)
        return replies

    async def _try_call(self, commands: Sequence[bytes]) -> list[Reply]:
        async with self._opened().borrow() as wire:
            replies = await wire.exchange(commands)
            for _ in range(MOST_LOADS):
                again = to_send_again(commands, replies)
                if not again:
                    break
                loads = load_commands()
                answers = await wire.exchange([*loads, *(commands[index] for index in again)])
                for index, answer in zip(again, answers[len(loads) :], strict=True):
                    replies[index] = answer
            if any(isinstance(r, Exception) and not is_full(r) for r in replies):
                # After a failover the same address may lead to the new primary.
                wire.close()
        return replies

    async def close(self) -> None:
        """Close this loop's free connections."""
        if self._wires is not None:
            await self._wires.close()
