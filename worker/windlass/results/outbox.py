"""Results kept in another Redis than the broker's: written by the commit, copied, read from both.

An outcome is on the broker until it is in the other store, so it is read there first, and whoever
waits is told by the broker. The other store is only asked for what the broker no longer has; when
it is away, waits go on and everything that is not copied yet is still there.
Imported only where such a store is configured. Next in the walk: `windlass.redis_store.outbox`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from windlass.errors import BrokerError
from windlass.redis_store.async_connection import AsyncLinks
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.outbox import Copier, forget_calls, kept_outcome, of_results
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script
from windlass.redis_store.wire import Reply
from windlass.results.redis import Arrival, RedisResults, first_final

if TYPE_CHECKING:
    import asyncio

    from windlass.brokers.redis import RedisBroker

#: How long a look into the other store may hang while somebody waits, seconds: meanwhile the
#: broker's word is not heard.
_GLANCE_S = 0.5
#: Between two looks into a store that is away, seconds.
_PAUSE_S = 2.0


def make_outbox_results(broker: RedisBroker, url: str, options: Mapping[str, Any]) -> OutboxResults:
    """Build the result backend of a broker that has an outbox.

    Args:
        broker: Shares its connections.
        url: Of the other store.
        options: Of connections to it.
    """
    keyspace = broker.keys.keyspace
    return OutboxResults(
        broker.links,
        broker.async_links,
        broker.keys,
        Links(url, options=options, keyspace=keyspace),
        AsyncLinks(url, options=options, keyspace=keyspace),
    )


class OutboxResults(RedisResults):
    """Implements `windlass.results.base.ResultBackend`.

    Args:
        links: The broker's connections.
        async_links: Their async twin.
        keys: The keyspace's key table.
        store: Connections to the other store.
        async_store: Their async twin.
    """

    def __init__(
        self,
        links: Links,
        async_links: AsyncLinks,
        keys: Keys,
        store: Links,
        async_store: AsyncLinks,
    ) -> None:
        super().__init__(links, async_links, keys)
        self.store = store
        self.async_store = async_store

    def copier(self) -> Copier:
        """Make what copies outcomes to the other store."""
        return Copier(self._links, self._keys, self.store)

    def get_many_raw(self, task_ids: Sequence[str]) -> list[bytes | None]:
        """Return the stored outcomes, in the order of the ids."""
        found = super().get_many_raw(task_ids)
        missing = [id_ for id_, raw in zip(task_ids, found, strict=True) if raw is None]
        if not missing:
            return found
        kept = iter(self._kept(missing))
        return [next(kept) if raw is None else raw for raw in found]

    async def aget_raw(self, task_id: str) -> bytes | None:
        """Async twin of `get_raw`."""
        raw = await super().aget_raw(task_id)
        return raw if raw is not None else await self._akept(task_id)

    def forget(self, task_ids: Sequence[str]) -> None:
        """Remove stored outcomes, here and there; a copy that is under way comes too late."""
        if not task_ids:
            return
        keys = self._keys
        touched = (keys.outbox, keys.outbox_generation, *map(keys.result, task_ids))
        call = script("outbox_forget").command(touched, tuple(task_ids))
        generation = self._links.call([call])[0]
        self._store_call(forget_calls(keys, task_ids, generation))

    async def aclose(self) -> None:
        """Close the connections of the running event loop to the other store."""
        await self.async_store.close()

    def close(self) -> None:
        """End the waits' thread, and close the connections to the other store."""
        super().close()
        self.store.close()

    # -- the other store -------------------------------------------------------------------------

    def _kept(self, task_ids: Sequence[str], within_s: float | None = None) -> list[bytes | None]:
        call = packed("MGET", *map(self._keys.kept, task_ids))
        return [kept_outcome(value) for value in self._store_call([call], within_s)[0]]

    def _store_call(self, commands: Sequence[bytes], within_s: float | None = None) -> list[Reply]:
        try:
            return self.store.call(commands, within_s)
        except BrokerError as error:
            raise of_results(error) from error

    async def _akept(self, task_id: str) -> bytes | None:
        try:
            call = packed("GET", self._keys.kept(task_id))
            return kept_outcome((await self.async_store.call([call]))[0])
        except BrokerError as error:
            raise of_results(error) from error

    # -- waiting ---------------------------------------------------------------------------------

    def _look(self, task_ids: Sequence[str], timeout_s: float | None) -> tuple[str, bytes] | None:
        found = super()._look(task_ids, timeout_s)
        if found is None and timeout_s == 0:  # else the wait looks, once its channels stand
            with contextlib.suppress(BrokerError):
                found = first_final(task_ids, self._kept(task_ids, _GLANCE_S))
        return found

    def _register(
        self, live: Sequence[str], left_s: float | None, arrivals: queue.SimpleQueue[Arrival]
    ) -> tuple[str, bytes] | None:
        found = super()._register(live, left_s, arrivals)
        if found is not None:
            return found
        try:
            return first_final(live, self._kept(live, _GLANCE_S))
        except BrokerError:  # also where it refuses the password: then nothing is copied either
            again = threading.Timer(_PAUSE_S, _live_again, (live, arrivals))
            again.daemon = True
            again.start()
            return None

    async def _aregister(
        self, task_id: str, timeout_s: float | None, arrivals: asyncio.Queue[bytes | None]
    ) -> bytes | None:
        import asyncio  # noqa: PLC0415 - as in RedisResults

        raw = await super()._aregister(task_id, timeout_s, arrivals)
        if raw is not None:
            return raw
        try:
            async with asyncio.timeout(_GLANCE_S):
                return await self._akept(task_id)
        except (BrokerError, TimeoutError):
            asyncio.get_running_loop().call_later(_PAUSE_S, arrivals.put_nowait, None)
            return None


def _live_again(live: Sequence[str], arrivals: queue.SimpleQueue[Arrival]) -> None:
    for task_id in live:
        arrivals.put((task_id, None))
