"""What moves many messages of a queue at once on Redis: reaping, unparking, purging.

Next in the walk: `lua/reap_expired.lua`, `lua/unpark.lua`, `lua/purge.lua`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windlass.brokers.base import Bury, StoredResult
from windlass.brokers.redis_continuations import Continuations
from windlass.continuations import LOST, PURGED, part_of
from windlass.redis_store import limiting
from windlass.redis_store.commands import Commands, SettleCall
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script


class Upkeep:
    """Reaps, unparks and purges queues of one keyspace."""

    def __init__(
        self, links: Links, keys: Keys, commands: Commands, continuations: Continuations
    ) -> None:
        self._links = links
        self._keys = keys
        self._commands = commands
        self._continuations = continuations

    def reap(
        self, queue: str, worker: str, lost_result: Callable[[str], StoredResult | None]
    ) -> int:
        """Return expired leases to ready, or bury those at the cap. Returns how many moved."""
        keys, q = self._keys, self._keys.queue(queue)
        touched = (
            keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.wake, q.idle,
            q.record, *q.by_urgency,
        )  # fmt: skip
        args = (self._commands.now, self._commands.max_deliveries)
        ready, over = self._links.call([script("reap_expired").command(touched, args)])[0]
        if not over:
            return int(ready)
        capped = list(zip(over[::3], over[1::3], over[2::3], strict=True))
        raws = self._links.call([packed("HMGET", keys.messages, *over[::3])])[0]
        parts = [
            part_of(id_.decode(), raw or b"", LOST)
            for (id_, _, _), raw in zip(capped, raws, strict=True)
        ]
        burials: list[SettleCall] = [
            self._commands.bury(
                Bury(
                    id=id_.decode(),
                    queue=queue,
                    token=int(token),
                    reason="max_deliveries",
                    detail="the worker that ran it was lost: its lease ran out",
                    worker=worker,
                    result=lost_result(id_.decode()),
                    part=part,
                    attempt=attempt,
                ),
                crashed=True,
            )
            for (id_, token, attempt), part in zip(capped, parts, strict=True)
        ]
        replies = self._links.call([call.command for call in burials])
        self._continuations.finish(part.then.id for part in parts if part is not None)
        spared = sum(len(call.stale(r)) for call, r in zip(burials, replies, strict=True))
        return int(ready) + len(burials) - spared

    def sweep_limits(self, queue: str) -> int:
        """Free slots that nobody holds any more. Returns how many messages let go of theirs."""
        cursor, total = b"0", 0
        while True:
            call = limiting.sweep(self._keys, self._commands.now, queue, cursor)
            cursor, count, others = limiting.swept(self._links.call([call])[0])
            total += count
            if others:
                self._links.call(limiting.elsewhere(self._keys, others))
            if cursor == b"0":
                return total

    def unpark(self, queue: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""
        keys, q = self._keys, self._keys.queue(queue)
        touched = (keys.messages, q.parked, q.wake, q.idle, *q.by_urgency)
        cursor, total = b"0", 0
        while True:
            call = script("unpark").command(touched, (cursor, *tasks))
            cursor, ready = self._links.call([call])[0]
            total += int(ready)
            if cursor == b"0":
                return total

    def purge(self, queue: str) -> int:
        """Delete what waits in the queue: ready, scheduled, parked, blocked. Returns how many."""
        keys, q = self._keys, self._keys.queue(queue)
        touched = (
            keys.messages, keys.attempts, q.scheduled, q.parked, q.condemned, keys.thens,
            *q.by_urgency, q.blocked, q.line,
        )  # fmt: skip
        total = 0
        while True:
            deleted, more, steps = self._links.call([script("purge").command(touched, (500,))])[0]
            total += int(deleted)
            found = zip(steps[::2], steps[1::2], strict=True)
            parts = [part_of(id_.decode(), head, PURGED) for id_, head in found]
            self._continuations.deliver([part for part in parts if part is not None])
            if not more:
                return total
