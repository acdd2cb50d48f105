"""How the in-memory broker leases: an even share of each queue first, then what there is.

Not locked: `windlass.brokers.memory_store` owns the lock and the messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windlass.attempts import ALONE, REPLAYED, SHARED
from windlass.brokers.base import Delivery, FetchRequest
from windlass.brokers.memory_limiter import Gate, Limiter
from windlass.brokers.memory_limits import Hold
from windlass.brokers.memory_queue import Grant, MemoryQueue

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

#: Bytes of messages in one fetch.
_MAX_FETCH_BYTES = 8 * 1024 * 1024


class _Taking:
    """What one fetch takes of one queue, within what the queue's record allows."""

    def __init__(self, store: MemoryStore, queue: MemoryQueue, idle: int) -> None:
        self.queue = queue
        self.ids: list[str] = []
        self._now_ms = store.now_ms
        rate, most = queue.record.get("rate_limit"), queue.record.get("max_concurrency")
        self.rate = rate and Gate.of_rate("", rate, queue.lines.tokens_from, self._now_ms)
        self.slots = most and Gate.of_slots("", most - len(queue.leased), idle)

    @property
    def may(self) -> float:
        """How many more the record allows."""
        gates = [gate.may for gate in (self.rate, self.slots) if gate]
        return min(gates, default=math.inf) - len(self.ids)

    def close(self) -> float | None:
        """Note what was taken. Returns when there may be more of what is left, None if untold."""
        for gate in (self.rate, self.slots):
            if gate:
                gate.taken = len(self.ids)
        if self.rate and self.rate.taken:
            self.queue.lines.tokens_from = round(self.rate.kept(), 3)
        if self.may > 0:
            return None
        at = math.inf
        if self.rate and self.rate.is_shut:
            at = self.rate.again_ms(self._now_ms)
        elif self.slots:
            at = self.slots.again_ms(self._now_ms)
            self.queue.lines.is_full = at == math.inf
        return at if 0 < at < math.inf and any(self.queue.ready) else None


class _Lease:
    """One fetch."""

    def __init__(self, store: MemoryStore, request: FetchRequest, want: int) -> None:
        self.store = store
        self.request = request
        self.left = want
        self.idle = want if request.idle is None else request.idle
        self.limiter = Limiter(store, self.idle, store.token) if store.limits.is_limited else None
        self._bytes_left = _MAX_FETCH_BYTES

    def open(self, queue: MemoryQueue) -> _Taking:
        """Begin with a queue: what is due becomes ready, also what waited for a limit."""
        queue.promote(self.store.now_ms)
        taking = _Taking(self.store, queue, self.idle)
        if self.limiter is not None:
            self.limiter.reopen(queue, int(min(self.left, taking.may)))
        return taking

    def take(self, taking: _Taking, limit: int) -> None:
        """Take up to so many messages of a queue."""
        room, queue, limiter = int(min(limit, self.left, taking.may)), taking.queue, self.limiter
        if room <= 0:
            return
        until = len(taking.ids) + room
        kept = limiter.share(queue, room) if limiter else 0

        def add(id_: str) -> bool:
            taking.ids.append(id_)
            self.left -= 1
            self._bytes_left -= len(self.store.messages[id_].raw)
            return self._bytes_left > 0

        def fill(up_to: int) -> None:
            while len(taking.ids) < up_to and self._bytes_left > 0:
                if (id_ := queue.pop()) is None:
                    return
                if limiter is None or limiter.may_go(queue, id_):
                    add(id_)

        fill(until - kept)
        if limiter is not None:
            limiter.serve(queue, until - len(taking.ids), add)
            fill(until)  # those who take turns may have left some of it


def lease(
    store: MemoryStore, live: Sequence[MemoryQueue], want: int, request: FetchRequest
) -> tuple[list[Delivery], list[float]]:
    """Lease up to `want` messages, from the queues in the order given.

    Returns:
        The deliveries, and the times at which limits have room again for what waits.
    """
    fetch = _Lease(store, request, want)
    takings = [fetch.open(queue) for queue in live]
    share = want if request.strict else math.ceil(want / max(1, len(live)))
    for limit in (share, want):
        for taking in takings:
            fetch.take(taking, limit)
    deliveries = [
        delivery
        for taking in takings
        if taking.ids
        for delivery in _grant(store, taking, request, fetch.limiter)
    ]
    times = [taking.close() for taking in takings]
    if fetch.limiter is not None:
        times += [fetch.limiter.finish(taking.queue) for taking in takings]
        fetch.limiter.save()
    return deliveries, [at for at in times if at is not None]


def _grant(
    store: MemoryStore, taking: _Taking, request: FetchRequest, limiter: Limiter | None
) -> list[Delivery]:
    now_ms, queue, ids = store.now_ms, taking.queue, taking.ids
    store.token += 1
    token = store.token
    if taking.slots or (limiter and limiter.has_slots(ids)):
        token = -token
    for id_ in ids:
        if limiter is not None and (gates := limiter.slots_of(id_)):
            store.limits.holds[id_] = Hold(token, queue.name, gates)
    queue.grants[token] = Grant(token, now_ms + request.lease_ms, ids, len(ids), request.worker_id)
    queue.leased.update(dict.fromkeys(ids, token))
    return [
        Delivery(
            id=id_,
            queue=queue.name,
            token=token,
            raw=store.messages[id_].raw,
            deliveries=store.messages[id_].deliveries,
            handbacks=store.messages[id_].handbacks,
            revoked=store.tombstones.get(id_, (0, ""))[0] > now_ms,
            generation=store.messages[id_].generation,
            is_suspect=bool(
                store.messages[id_].deliveries > 1 or store.messages[id_].flags & (SHARED | ALONE)
            ),
            forgets_retries=bool(store.messages[id_].flags & REPLAYED),
        )
        for id_ in ids
    ]
