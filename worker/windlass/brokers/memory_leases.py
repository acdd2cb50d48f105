"""How the in-memory broker leases: an even share of each queue first, then what there is.

Not locked: `windlass.brokers.memory_store` owns the lock and the messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from windlass.brokers.base import Delivery, FetchRequest
from windlass.brokers.memory_queue import Grant, MemoryQueue

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

#: Bytes of messages in one fetch.
_MAX_FETCH_BYTES = 8 * 1024 * 1024


def lease(
    store: MemoryStore, live: Sequence[MemoryQueue], want: int, request: FetchRequest
) -> list[Delivery]:
    """Lease up to `want` messages, from the queues in the order given."""
    now_ms = store.now_ms
    taken: dict[str, list[str]] = {queue.name: [] for queue in live}
    for queue in live:
        queue.promote(now_ms)
    share = want if request.strict else math.ceil(want / max(1, len(live)))
    count = size = 0
    for limit in (share, want):
        for queue in live:
            room = min(limit, want - count)
            while room > 0 and size < _MAX_FETCH_BYTES and (id_ := queue.pop()) is not None:
                taken[queue.name].append(id_)
                size += len(store.messages[id_].raw)
                room, count = room - 1, count + 1
    return [
        delivery
        for queue in live
        if taken[queue.name]
        for delivery in _grant(store, queue, taken[queue.name], request)
    ]


def _grant(
    store: MemoryStore, queue: MemoryQueue, ids: list[str], request: FetchRequest
) -> list[Delivery]:
    now_ms = store.now_ms
    store.token += 1
    token = store.token
    queue.grants[token] = Grant(
        token, now_ms + request.lease_ms, ids, len(ids), request.worker_id
    )
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
            is_suspect=bool(store.messages[id_].deliveries or store.messages[id_].suspect),
        )
        for id_ in ids
    ]
