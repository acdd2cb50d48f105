"""The broker on Redis: each method is one round trip of `windlass.redis_store`.

Thread-safe for sending; `wait` and `control_messages` are for one thread each.
Next in the walk: `windlass.redis_store.commands`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from windlass.brokers.base import (
    Answers,
    BrokerHealth,
    Capability,
    ControlMessage,
    Fetched,
    FetchRequest,
    Settlement,
    StoredResult,
)
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis_checkpoints import RedisCheckpoints
from windlass.brokers.redis_continuations import Continuations
from windlass.brokers.redis_exchange import Exchanges, SentStep
from windlass.brokers.redis_sending import RedisSending
from windlass.brokers.redis_upkeep import Upkeep
from windlass.continuations import Part, Waiting
from windlass.errors import OperationalError
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.commands import Commands
from windlass.redis_store.connection import Links
from windlass.redis_store.health import read_health
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.revoking import Revoker
from windlass.redis_store.scripts import outcome_script, script
from windlass.redis_store.waiting import ChannelLink, WakeLink
from windlass.states import Stage

#: A waiting worker looks again at least this often; its mark lives a little longer.
_IDLE_MARGIN_MS = 2_000


def _no_result(_id: str) -> StoredResult | None:
    return None


__all__ = ["PublishRetry", "RedisBroker"]


class RedisBroker(RedisSending):
    """Implements `windlass.brokers.base.Broker`.

    Args:
        url: Of one server, of Sentinels or of a cluster; see `windlass.redis_store.topology`.
        keyspace: Everything this broker touches is under it.
        retry: How often an enqueue is tried again when the connection fails.
        options: Of the connection, as `windlass.redis_store.address` reads them.
        max_deliveries: The cap where a queue record names none.
        lost_result: Builds the outcome of a message that dies because its worker was lost.
        has_outbox: Outcomes are copied to another store (`windlass.results.outbox`).
        confirm_ms: What is enqueued has to be on a replica within so long; 0: need not.
    """

    capabilities = frozenset(Capability)

    def __init__(  # noqa: PLR0913 - one caller, which names them all
        self,
        url: str,
        *,
        keyspace: str = "default",
        retry: PublishRetry | None = None,
        options: Mapping[str, Any] | None = None,
        max_deliveries: int = 3,
        lost_result: Callable[[str], StoredResult | None] = _no_result,
        has_outbox: bool = False,
        confirm_ms: int = 0,
    ) -> None:
        self.url = url
        self.keys = Keys(keyspace, has_outbox=has_outbox)
        self.links = Links(url, options=options, keyspace=keyspace)
        self.async_links = AsyncLinks(url, options=options, keyspace=keyspace)
        self.commands = Commands(self.keys, max_deliveries)
        self.lost_result = lost_result
        self.retry = retry or PublishRetry()
        self.continuations = Continuations(self.links, self.keys, self.commands)
        self._upkeep = Upkeep(self.links, self.keys, self.commands, self.continuations)
        self.checkpoints = RedisCheckpoints(self.links, self.keys, self.commands)
        self._exchanges = Exchanges(self.links, self.commands, self.continuations, self._prepared)
        self._confirm_within(confirm_ms)
        self._revoker = Revoker(self.links, self.keys, self.continuations.finish)
        self._wake: WakeLink | None = None
        self._control: ChannelLink | None = None
        self._turn = -1

    # -- working ---------------------------------------------------------------------------------

    def exchange(
        self, settlements: Sequence[Settlement], request: FetchRequest | None
    ) -> tuple[list[str], Fetched | None]:
        """Settle what is finished and fetch what is next, in one round trip.

        Raises:
            OperationalError: The connection failed; the settlements may be repeated, those that
                were done are then reported as stale. What was fetched comes back when its lease
                runs out.
            BrokerError: A settlement was refused; the others were done, and nothing is fetched.
        """
        return self._exchanges.exchange(settlements, request)

    def begin_step(
        self, settlements: Sequence[Settlement], request: FetchRequest
    ) -> SentStep | None:
        """Send a lone step without waiting for the answer; None where that cannot be."""
        return self._exchanges.begin_step(settlements, request)

    def wait(self, request: FetchRequest, timeout_s: float) -> Fetched | None:
        """Block on the wake lists of the queues, then fetch, also after the time-out."""
        if self._wake is None:
            self._wake = WakeLink(self.links)
        keys = [self.keys.queue(name).wake for name in request.queues]
        request = self._prepared(request)
        try:
            reply = self._wake.wait_and_call(keys, timeout_s, self.commands.fetch(request))
        except BaseException:
            # Its reply is still to come, or will never: not a connection to ask again.
            self._wake.close()
            raise
        return self.commands.fetched(request, reply)

    def _prepared(self, request: FetchRequest) -> FetchRequest:
        """Let another queue be first each time, unless they are to be served strictly."""
        queues, wait_ms = request.queues, request.wait_ms
        if not request.strict and len(queues) > 1:
            self._turn = (self._turn + 1) % len(queues)
            queues = queues[self._turn :] + queues[: self._turn]
        if wait_ms:
            wait_ms += _IDLE_MARGIN_MS
        return msgspec.structs.replace(request, queues=queues, wait_ms=wait_ms)

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
        moved = self._upkeep.reap(queue, worker, self.lost_result)
        if moved:
            self._upkeep.sweep_limits(queue)
        return moved

    def unpark(self, queue: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""
        return self._upkeep.unpark(queue, tasks)

    def deliver(self, parts: Sequence[Part]) -> None:
        """Give parts to their continuations outside of a commit; safe to repeat."""
        self.continuations.deliver(parts)

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """Look after continuations that were last looked at so long ago; returns how many ended."""
        return self.continuations.sweep(older_than_ms, limit)

    def has_limits(self) -> bool:
        """Whether anybody has declared or set limits of tasks."""
        return bool(self.links.call([packed("EXISTS", self.keys.limits_given)])[0])

    def sweep_limits(self, queue: str) -> int:
        """Put limits of a queue right after an accident; returns how many slots' holders let go."""
        return self._upkeep.sweep_limits(queue)

    def waiting(self, continuation_ids: Sequence[str]) -> list[Waiting | None]:
        """Return continuations as they are, None for one that is gone."""
        return self.continuations.waiting(continuation_ids)

    def set_state(self, message_id: str, queue: str, token: int, result: StoredResult) -> bool:
        """Store a state that does not end the message; False when the lease is lost."""
        touched = (self.keys.queue(queue).leased, self.keys.result(message_id))
        args = (message_id, token, result.ttl_ms, result.payload)
        call = outcome_script("set_state", self.keys).command(touched, args)
        return bool(self.links.call([call])[0])

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

    def revoke_stamps(self, headers: Mapping[str, Any], signal: str = "") -> None:
        """Revoke all that has one of these stamps, now or within a day; a signal ends runs."""
        self._revoker.revoke_stamps(headers, signal, self.commands.now)

    def revoked(self, ids: Sequence[str]) -> dict[str, str]:
        """Which of the ids are marked as revoked -> the signal that ends a run, '' for none."""
        return self._revoker.revoked(ids)

    def control_messages(
        self, timeout_s: float, on_listening: Callable[[], object] = lambda: None
    ) -> Iterator[ControlMessage]:
        """Yield hints for workers until none has come for so long. Hints: they may be missed.

        Those that are sent after `on_listening` was called are not, while the connection stands.
        """
        if self._control is None:
            self._control = ChannelLink(self.links, self.keys.control)
        try:
            self._control.subscribe()
            on_listening()
            while (payload := self._control.next_payload(timeout_s)) is not None:
                yield ControlMessage.decode(payload)
        except OperationalError:
            self._control.close()
            raise

    def call_workers(self, message: ControlMessage) -> int:
        """Send a hint to workers at large. Returns how many listen."""
        return int(self.links.call([packed("PUBLISH", self.keys.control, message.encode())])[0])

    def answers(self, name: str) -> Answers:
        """Listen for what workers answer under this name. Nothing is stored: no key is left."""
        link = ChannelLink(self.links, self.keys.answers_prefix + name.encode())
        link.subscribe()
        return link

    def answer_call(self, name: str, payload: bytes) -> None:
        """Answer whoever listens under this name."""
        self.links.call([packed("PUBLISH", self.keys.answers_prefix + name.encode(), payload)])

    def stage(self, message_id: str) -> Stage:
        """Where the message is, or DONE while its outcome is kept."""
        return self._revoker.stage(message_id)

    def purge(self, queue: str) -> int:
        """Delete what waits in the queue: ready, scheduled, parked. Returns how many."""
        return self._upkeep.purge(queue)

    def ping(self) -> None:
        """Raise OperationalError unless the broker answers."""
        self.links.call([packed("PING")])

    def check(self) -> BrokerHealth:
        """Ask the broker whether it is safe to use."""
        return read_health(self.links)

    def end_wait(self) -> None:
        """Have a `wait` of another thread fetch and return now: something has changed for it."""
        if self._wake is not None:
            self._wake.end(self.links)

    def interrupt(self) -> None:
        """End `wait` and `control_messages` of other threads: they fail with OperationalError."""
        for link in (self._wake, self._control):
            if link is not None:
                link.interrupt()

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        await self.async_links.close()

    def close(self) -> None:
        """Close the connections of this process."""
        self.links.close()
        if self._wake is not None:
            self._wake.close()
        if self._control is not None:
            self._control.close()
