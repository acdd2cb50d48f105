"""The part of the in-memory broker that makes dead letters, and reaps what a lost worker had.

Not locked: `windlass.brokers.memory_store` owns the lock and calls this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from windlass.attempts import parked_too_long
from windlass.brokers.base import Bury, DeadEnd, StoredResult
from windlass.brokers.memory_attempts import note_loss, remember
from windlass.continuations import DEAD, LOST

if TYPE_CHECKING:
    from windlass.brokers.memory_queue import MemoryQueue, Stored
    from windlass.brokers.memory_store import MemoryStore

_LEASE_RAN_OUT = "the worker that ran it was lost: its lease ran out"


def bury(store: MemoryStore, queue: MemoryQueue, item: Bury | DeadEnd) -> None:
    """Make a dead letter of a message that a worker gave up."""
    remember(store.messages[item.id], store.now_ms, item.attempt)
    queue.bury(item.id, item.reason, item.detail, item.worker, store.now_ms)


def reap(
    store: MemoryStore,
    queue: MemoryQueue,
    worker: str,
    cap: int,
    lost_result: Callable[[str], StoredResult | None],
) -> int:
    """Give back what expired grants still own, or bury what is at the cap. Returns how many."""
    moved = 0
    # The oldest grant last, so that it comes to the very front.
    for grant in reversed(queue.expired(store.now_ms)):
        for id_ in reversed(grant.ids):
            if queue.owns(id_, grant.token):
                queue.unlease(id_)
                moved += 1
                message = store.messages[id_]
                note_loss(message, grant.worker, store.now_ms)
                if message.deliveries < cap:
                    queue.to_front(message)
                else:
                    _bury_lost(store, queue, message, worker)
                    store.store(id_, lost_result(id_))
    return moved


def _bury_lost(store: MemoryStore, queue: MemoryQueue, message: Stored, worker: str) -> None:
    queue.bury(message.id, "max_deliveries", _LEASE_RAN_OUT, worker, store.now_ms)
    store.continuations.ended_without_worker(message, LOST)


def bury_parked(
    store: MemoryStore,
    queue: MemoryQueue,
    who: str,
    result_for: Callable[[str], StoredResult | None],
) -> int:
    """Make dead letters of what was parked for longer than the record allows. Returns how many."""
    limit_ms, now_ms = 1000 * queue.record.get("park_limit_s", 0), store.now_ms
    over = [(id_, task) for id_, (at, task) in queue.parked.items() if at + limit_ms <= now_ms]
    if not limit_ms:
        return 0
    for id_, task in over:
        del queue.parked[id_]
        message, (detail, attempt) = store.messages[id_], parked_too_long(task, who)
        remember(message, now_ms, attempt)
        queue.bury(id_, "parked_too_long", detail, who, now_ms)
        store.store(id_, result_for(id_))
        store.continuations.ended_without_worker(message, DEAD)
    store.changed.notify_all()
    return len(over)
