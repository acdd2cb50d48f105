"""The broker on Redis: each method is one round trip of `windlass.redis_store`.

Thread-safe for sending; `wait` and `control_messages` are for one thread each.
Next in the walk: `windlass.redis_store.commands`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from windlass.brokers.base import (
    BrokerHealth,
    Bury,
    Capability,
    Fetched,
    FetchRequest,
    Settlement,
    StoredResult,
)
from windlass.brokers.publish_retry import PublishRetry
from windlass.errors import OperationalError
from windlass.messages import Outgoing
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.commands import Commands
from windlass.redis_store.connection import Links
from windlass.redis_store.health import read_health
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.revoking import ControlMessage, Revoker
from windlass.redis_store.scripts import script
from windlass.redis_store.waiting import ChannelLink, WakeLink
from windlass.states import Stage

#: A waiting worker looks again at least this often; its mark lives a little longer.
_IDLE_MARGIN_MS = 2_000


def _no_result(_id: str) -> StoredResult | None:
    return None


__all__ = ["PublishRetry", "RedisBroker"]


class RedisBroker:
    """Implements `windlass.brokers.base.Broker`.

    Args:
        url: redis://, rediss:// or unix:// address.
        keyspace: Everything this broker touches is under it.
        retry: How often an enqueue is tried again when the connection fails.
        options: Further keyword arguments for redis-py's connections.
        max_deliveries: The cap where a queue record names none.
        lost_result: Builds the outcome of a message that dies because its worker was lost.
    """

    capabilities = frozenset(Capability)

    def __init__(
        self,
        url: str,
        *,
        keyspace: str = "default",
        retry: PublishRetry | None = None,
        options: Mapping[str, Any] | None = None,
        max_deliveries: int = 3,
        lost_result: Callable[[str], StoredResult | None] = _no_result,
    ) -> None:
        self.url = url
        self.keys = Keys(keyspace)
        self.links = Links(url, options=options)
        self.async_links = AsyncLinks(url, options=options)
        self.commands = Commands(self.keys, max_deliveries)
        self.lost_result = lost_result
        self.retry = retry or PublishRetry()
        self._revoker = Revoker(self.links, self.keys)
        self._wake: WakeLink | None = None
        self._control: ChannelLink | None = None

    # -- sending ---------------------------------------------------------------------------------

    def enqueue(
        self, messages: Sequence[Outgoing], retry: PublishRetry | None = None
    ) -> list[bool]:
        """Store messages; safe to repeat, since an id that is already there is left as it is.

        Args:
            messages: Any number.
            retry: Instead of the broker's own policy.

        Raises:
            OperationalError: The broker could not be reached, after the retries.
            BrokerFullError: It is out of memory; nothing of that call was stored.
        """
        if len(messages) == 1:
            reply = self._with_retry([self.commands.enqueue_one(messages[0])], retry)[0]
            return [not reply]
        calls = self.commands.enqueue(messages)
        fresh = [True] * len(messages)
        replies = self._with_retry([call.command for call in calls], retry)
        for call, reply in zip(calls, replies, strict=True):
            for index in reply:
                fresh[call.indexes[index]] = False
        return fresh

    def _with_retry(self, commands: Sequence[bytes], retry: PublishRetry | None) -> list[Any]:
        for pause_s in (retry or self.retry).pauses():
            try:
                return self.links.call(commands)
            except OperationalError:
                self.links.close()
                time.sleep(pause_s)
        return self.links.call(commands)

    async def aenqueue(
        self, messages: Sequence[Outgoing], retry: PublishRetry | None = None
    ) -> list[bool]:
        """As `enqueue`, without blocking the event loop."""
        calls = self.commands.enqueue(messages)
        commands = [call.command for call in calls]
        fresh = [True] * len(messages)
        replies = await (retry or self.retry).acall(lambda: self.async_links.call(commands))
        for call, reply in zip(calls, replies, strict=True):
            for index in reply:
                fresh[call.indexes[index]] = False
        return fresh

    # -- working ---------------------------------------------------------------------------------

    def exchange(
        self, settlements: Sequence[Settlement], request: FetchRequest | None
    ) -> tuple[list[str], Fetched | None]:
        """Settle what is finished and fetch what is next, in one round trip.

        Raises:
            OperationalError: The connection failed; the settlements may be repeated, those that
                were done are then reported as stale.
        """
        calls = self.commands.settle(settlements)
        commands = [call.command for call in calls]
        if request is not None:
            commands.append(self.commands.fetch(self._with_idle_margin(request)))
        if not commands:
            return [], None
        replies = self.links.call(commands)
        answered = zip(calls, replies, strict=False)
        stale = [id_ for call, reply in answered for id_ in call.stale(reply)]
        fetched = None if request is None else self.commands.fetched(request, replies[-1])
        return stale, fetched

    def wait(self, request: FetchRequest, timeout_s: float) -> Fetched | None:
        """Block on the wake lists of the queues, then fetch, also after the time-out."""
        if self._wake is None:
            self._wake = WakeLink(self.links)
        keys = [self.keys.queue(name).wake for name in request.queues]
        request = self._with_idle_margin(request)
        try:
            reply = self._wake.wait_and_call(keys, timeout_s, self.commands.fetch(request))
        except OperationalError:
            self._wake.close()
            raise
        return self.commands.fetched(request, reply)

    @staticmethod
    def _with_idle_margin(request: FetchRequest) -> FetchRequest:
        if not request.wait_ms:
            return request
        return msgspec.structs.replace(request, wait_ms=request.wait_ms + _IDLE_MARGIN_MS)

    def renew(self, tokens: Mapping[str, Sequence[int]], lease_ms: int) -> list[int]:
        """Extend grants, by queue, in one round trip. Returns the tokens that are lost."""
        renewals = [
            script("renew").command(
                (self.keys.queue(queue).leases,), (self.commands.now, lease_ms, *owned)
            )
            for queue, owned in tokens.items()
            if owned
        ]
        if not renewals:
            return []
        return [int(token) for reply in self.links.call(renewals) for token in reply]

    def reap(self, queue: str, worker: str) -> int:
        """Return expired leases to ready, or bury those at the cap. Returns how many moved."""
        keys, q = self.keys, self.keys.queue(queue)
        touched = (
            keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.wake, q.idle,
            q.record, *q.by_urgency,
        )  # fmt: skip
        args = (self.commands.now, self.commands.max_deliveries)
        ready, over = self.links.call([script("reap_expired").command(touched, args)])[0]
        burials = [
            self.commands.bury(
                Bury(
                    id=id_.decode(),
                    queue=queue,
                    token=int(token),
                    reason="max_deliveries",
                    detail="the worker that ran it was lost: its lease ran out",
                    worker=worker,
                    result=self.lost_result(id_.decode()),
                ),
                crashed=True,
            ).command
            for id_, token in zip(over[::2], over[1::2], strict=True)
        ]
        if burials:
            self.links.call(burials)
        return int(ready) + len(burials)

    def unpark(self, queue: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""
        keys, q = self.keys, self.keys.queue(queue)
        touched = (keys.messages, q.parked, q.wake, q.idle, *q.by_urgency)
        cursor, total = b"0", 0
        while True:
            call = script("unpark").command(touched, (cursor, *tasks))
            cursor, ready = self.links.call([call])[0]
            total += int(ready)
            if cursor == b"0":
                return total

    def set_state(self, message_id: str, queue: str, token: int, result: StoredResult) -> bool:
        """Store a state that does not end the message; False when the lease is lost."""
        touched = (self.keys.queue(queue).leased, self.keys.result(message_id))
        args = (message_id, token, result.ttl_ms, result.payload)
        return bool(self.links.call([script("set_state").command(touched, args)])[0])

    # -- by id, by queue -------------------------------------------------------------------------

    def revoke(
        self,
        ids: Sequence[str],
        *,
        result_for: Callable[[str], StoredResult | None] = _no_result,
        terminate: bool = False,
        signal: str = "SIGTERM",
    ) -> dict[str, Stage]:
        """Revoke by id, with or without a worker alive. Returns where each one was.

        What waits is gone at once; what a worker has is marked, and the worker is told.
        """
        return self._revoker.revoke(
            ids, result_for=result_for, terminate=terminate, signal=signal, now=self.commands.now
        )

    def revoked(self, ids: Sequence[str]) -> dict[str, str]:
        """Which of the ids are marked as revoked -> the signal that ends a run, '' for none."""
        return self._revoker.revoked(ids)

    def control_messages(self, timeout_s: float) -> Iterator[ControlMessage]:
        """Yield hints for workers until none has come for so long. Hints: they may be missed."""
        if self._control is None:
            self._control = ChannelLink(self.links, self.keys.control)
        try:
            while (payload := self._control.next_payload(timeout_s)) is not None:
                yield ControlMessage.decode(payload)
        except OperationalError:
            self._control.close()
            raise

    def stage(self, message_id: str) -> Stage:
        """Where the message is, or DONE while its outcome is kept."""
        return self._revoker.stage(message_id)

    def purge(self, queue: str) -> int:
        """Delete what waits in the queue: ready, scheduled, parked. Returns how many."""
        keys, q = self.keys, self.keys.queue(queue)
        touched = (
            keys.messages, keys.attempts, q.scheduled, q.parked, q.condemned, *q.by_urgency,
        )  # fmt: skip
        total = 0
        while True:
            deleted, more = self.links.call([script("purge").command(touched, (500,))])[0]
            total += int(deleted)
            if not more:
                return total

    def ping(self) -> None:
        """Raise OperationalError unless the broker answers."""
        self.links.call([packed("PING")])

    def check(self) -> BrokerHealth:
        """Ask the broker whether it is safe to use."""
        return read_health(self.links)

    def interrupt(self) -> None:
        """End `wait` and `control_messages` of other threads: they fail with OperationalError."""
        for link in (self._wake, self._control):
            if link is not None:
                link.interrupt()

    def close(self) -> None:
        """Close the connections of this process."""
        self.links.close()
        if self._wake is not None:
            self._wake.close()
        if self._control is not None:
            self._control.close()
