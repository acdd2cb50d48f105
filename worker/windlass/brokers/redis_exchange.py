"""A worker's trips to the Redis broker: settle what is finished, fetch what is next.

Next in the walk: `windlass.redis_store.commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from windlass.brokers.base import Fetched, FetchRequest, HandBack, Settlement
from windlass.brokers.redis_continuations import Continuations
from windlass.errors import BrokerError
from windlass.redis_store import limiting
from windlass.redis_store.commands import Commands, SettleCall
from windlass.redis_store.connection import Links, server_error
from windlass.redis_store.sent import SentCall, send
from windlass.redis_store.stepping import pack_step, read_step


class SentStep:
    """Implements `windlass.brokers.base.SentStep`."""

    __slots__ = ("_call", "_settlement")

    def __init__(self, call: SentCall, settlement: Settlement) -> None:
        self._call = call
        self._settlement = settlement

    def fileno(self) -> int:
        """Readable when `arrived` is worth asking."""
        return self._call.fileno()

    @property
    def timeout_s(self) -> float:
        """To be given up after so long, seconds."""
        return self._call.timeout_s

    def arrived(self) -> bool:
        """Read what is there; True when nothing more will come."""
        return self._call.arrived()

    def fetched(self) -> Fetched | None:
        """Return what came; None: `exchange` it."""
        return read_step(self._settlement, self._call.reply)

    @property
    def is_declined(self) -> bool:
        """Whether the broker has answered that it is no plain step, and did nothing."""
        return self._call.reply is not None and not self._call.reply

    def give_up(self) -> None:
        """Wait no more."""
        self._call.give_up()


class Exchanges:
    """Settling and fetching in one round trip.

    Args:
        links: Connections.
        commands: Packs calls.
        continuations: Sends what commits have released in part.
        prepared: Completes a request, once for each fetch that looks at the queues.
    """

    def __init__(
        self,
        links: Links,
        commands: Commands,
        continuations: Continuations,
        prepared: Callable[[FetchRequest], FetchRequest],
    ) -> None:
        self._links = links
        self._commands = commands
        self._continuations = continuations
        self._prepared = prepared

    def exchange(
        self, settlements: Sequence[Settlement], request: FetchRequest | None
    ) -> tuple[list[str], Fetched | None]:
        """See `windlass.brokers.base.Broker.exchange`."""
        if request is not None:
            step = self._pack_step(settlements, request)
            if step is not None:
                (reply,) = self._links.call([step])
                if (fetched := read_step(settlements[0], reply)) is not None:
                    return [], fetched
        calls = self._commands.settle(settlements)
        commands = [call.command for call in calls]
        if request is not None:
            request = self._prepared(request)
            commands.append(self._commands.fetch(request))
        if not commands:
            return [], None
        replies = self._links.try_call(commands)
        refusal = next((reply for reply in replies if isinstance(reply, Exception)), None)
        if refusal is not None:
            self._give_back(request, replies[-1])
            self._finish(calls, replies)
            raise server_error(refusal)
        answered = zip(calls, replies, strict=False)
        stale = [id_ for call, reply in answered for id_ in call.stale(reply)]
        fetched = None if request is None else self._commands.fetched(request, replies[-1])
        self._finish(calls, replies)
        return stale, fetched

    def begin_step(
        self, settlements: Sequence[Settlement], request: FetchRequest
    ) -> SentStep | None:
        """See `windlass.brokers.base.Broker.begin_step`."""
        command = self._pack_step(settlements, request)
        call = None if command is None else send(self._links, command)
        return None if call is None else SentStep(call, settlements[0])

    def _pack_step(self, settlements: Sequence[Settlement], request: FetchRequest) -> bytes | None:
        commands = self._commands
        return pack_step(commands.keys, commands.now, settlements, request)

    def _finish(self, calls: Sequence[SettleCall], replies: Sequence[Any]) -> None:
        """Send the rest of what commits have released in part: the many, or to unusual queues."""
        ids = [
            id_
            for call, reply in zip(calls, replies, strict=False)
            if call.unfinished is not None and not isinstance(reply, Exception)
            for id_ in call.unfinished(reply)
        ]
        if ids or self._continuations.has_unfinished:
            self._continuations.finish(ids)
        pairs = [
            word
            for call, reply in zip(calls, replies, strict=False)
            if call.frees and not isinstance(reply, Exception)
            for word in reply
        ]
        if pairs:
            self._links.call(limiting.elsewhere(self._commands.keys, pairs))

    def _give_back(self, request: FetchRequest | None, reply: Any) -> None:
        """Hand back what was fetched beside a settlement that was refused: nobody will run it."""
        if request is None or isinstance(reply, Exception):
            return
        taken = [
            HandBack(id=item.id, queue=item.queue, token=item.token)
            for item in self._commands.fetched(request, reply).deliveries
        ]
        with suppress(BrokerError):  # then their lease runs out
            self._links.call([call.command for call in self._commands.settle(taken)])
