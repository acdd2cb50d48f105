"""The control plane of an in-memory broker: what the sibling modules do with Redis, done here.

Each function of a sibling hands over to the one of the same name when the broker is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from windlass.attempts import Counters
from windlass.brokers import memory_attempts, memory_deaths
from windlass.brokers.base import ControlMessage, QueueDepth, StoredResult
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.memory_queue import stamped
from windlass.messages import FORMAT_VERSION, PREFIX_SIZE, tail_of

__all__ = ["MemoryBroker"]


def list_queues(broker: MemoryBroker) -> list[str]:
    """Names of all queues that ever held a message, sorted."""
    return sorted(broker.store.names)


def read_depths(
    broker: MemoryBroker, queues: Sequence[str], started: dict[str, int], horizon_ms: int
) -> list[QueueDepth]:
    """Read the depth of each queue; `started` is what workers report as running."""
    store = broker.store
    with store.changed:
        now_ms = store.now_ms
        return [
            store.schedules.seen_from(
                store.queue(name).depth(store.messages, started.get(name, 0), now_ms, horizon_ms),
                now_ms,
                horizon_ms,
            )
            for name in queues
        ]


def read_record(broker: MemoryBroker, queue: str) -> dict[str, Any]:
    """Return the fields of the queue record that were set."""
    with broker.store.changed:
        return dict(broker.store.queue(queue).record)


def write_record(broker: MemoryBroker, queue: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change fields of the record; None removes one."""
    store = broker.store
    with store.changed:
        kept = store.queue(queue)
        kept.record |= {name: value for name, value in changes.items() if value is not None}
        for name in [name for name, value in changes.items() if value is None]:
            kept.record.pop(name, None)
        kept.record["generation"] = kept.record.get("generation", 0) + 1
        kept.wakes += 1
        store.names.add(queue)
        store.changed.notify_all()
        return dict(kept.record)


def counters_of(broker: MemoryBroker, message_id: str) -> Counters:
    """Return counters and attempts of a message, zeros if it is gone."""
    with broker.store.changed:
        message = broker.store.messages.get(message_id)
        return Counters() if message is None else memory_attempts.counters_of(message)


def dead_ids(broker: MemoryBroker, queue: str) -> list[str]:
    """Ids of the dead letters of a queue, the latest first; of one instant as Redis sorts them."""
    with broker.store.changed:
        dead = broker.store.queue(queue).dead
        return sorted(dead, key=lambda id_: (dead[id_].at_ms, id_), reverse=True)


def dead_page(
    broker: MemoryBroker,
    queue: str,
    since_ms: int | None,
    until_ms: int | None,
    *,
    is_newest_first: bool,
) -> list[str]:
    """Ids of the dead letters of a queue that died within a time."""
    with broker.store.changed:
        dead = broker.store.queue(queue).dead
        low, high = since_ms or 0, math.inf if until_ms is None else until_ms
        ids = [id_ for id_, obit in dead.items() if low <= obit.at_ms <= high]
        return sorted(ids, key=lambda id_: (dead[id_].at_ms, id_), reverse=is_newest_first)


def load_dead(
    broker: MemoryBroker, queue: str, ids: Sequence[str]
) -> list[tuple[str, dict[str, Any], bytes]]:
    """Return (id, what is known of its end, bytes) of dead letters."""
    store = broker.store
    with store.changed:
        dead = store.queue(queue).dead
        found = [(store.messages[id_], dead[id_]) for id_ in ids if id_ in dead]
        return [
            (
                message.id,
                msgspec.structs.asdict(obit)
                | {
                    "deliveries": message.deliveries,
                    "handbacks": message.handbacks,
                    "generation": message.generation,
                },
                message.raw,
            )
            for message, obit in found
        ]


def replay(
    broker: MemoryBroker,
    queue: str,
    ids: Sequence[str],
    start_ms: int | None = None,
    apart_ms: float = 0.0,
) -> int:
    """Make dead letters ready again as if new. Returns how many."""
    store = broker.store
    with store.changed:
        kept = store.queue(queue)
        chosen = [id_ for id_ in ids if kept.dead.pop(id_, None) is not None]
        for number, id_ in enumerate(chosen):
            message, now_ms = store.messages[id_], store.now_ms
            memory_attempts.revive(message, now_ms)
            store.tombstones.pop(id_, None)
            due_ms = 0 if start_ms is None else int(start_ms + apart_ms * number)
            due_ms = due_ms if due_ms > now_ms else 0
            raw = message.raw
            if raw[:1] == bytes((FORMAT_VERSION,)) and len(raw) > PREFIX_SIZE:
                message.raw = stamped(tail_of(raw), message.priority, now_ms, due_ms)
            kept.place(message, due_ms, now_ms)
        store.results.forget(chosen)
        store.changed.notify_all()
        return len(chosen)


def purge_dead(
    broker: MemoryBroker, queue: str, ids: Sequence[str] | None, before_ms: float
) -> int:
    """Delete the dead letters named, or those that died before a time. Returns how many."""
    store = broker.store
    with store.changed:
        dead = store.queue(queue).dead
        if ids is None:
            ids = [id_ for id_, obit in dead.items() if obit.at_ms <= before_ms]
        chosen = [id_ for id_ in ids if dead.pop(id_, None) is not None]
        for id_ in chosen:
            del store.messages[id_]
        return len(chosen)


def beat(broker: MemoryBroker, worker_id: str, ttl_ms: int, status: Any) -> int:
    """Keep a heartbeat, ttl_ms 0 ends it; returns until when the worker is cordoned, 0: not."""
    store = broker.store
    with store.changed:
        now_ms = store.now_ms
        store.workers[worker_id] = (now_ms + ttl_ms, status)
        if ttl_ms == 0:
            store.seen.pop(worker_id, None)
        store.workers = {id_: kept for id_, kept in store.workers.items() if kept[0] > now_ms}
        store.cordons = {id_: until for id_, until in store.cordons.items() if until > now_ms}
        store.forget_marks(now_ms)
        return store.cordons.get(worker_id, 0)


def read_workers(broker: MemoryBroker) -> list[tuple[int, Any]]:
    """Return (until when, ms; status) of the heartbeats that have not expired, by worker id."""
    store = broker.store
    with store.changed:
        alive = {id_: kept for id_, kept in store.workers.items() if kept[0] > store.now_ms}
        return [alive[id_] for id_ in sorted(alive)]


def cordon(broker: MemoryBroker, worker_id: str, ttl_ms: int) -> None:
    """Let no fetch of this worker get a message for so long; 0 lifts it."""
    store = broker.store
    with store.changed:
        if store.cordons.get(worker_id, 0) <= store.now_ms < store.now_ms + ttl_ms:
            store.control_count += 1
            store.control.append(ControlMessage(kind="cordon", workers=(worker_id,)))
        store.cordons[worker_id] = store.now_ms + ttl_ms
        store.changed.notify_all()


def bury_parked(
    broker: MemoryBroker, queue: str, who: str, result_for: Callable[[str], StoredResult | None]
) -> int:
    """Make dead letters of what was parked for longer than the record allows. Returns how many."""
    store = broker.store
    with store.changed:
        return memory_deaths.bury_parked(store, store.queue(queue), who, result_for)


def replay_edited(
    broker: MemoryBroker, letter: Any, to: tuple[str, int, bytes], digest: str
) -> bool:
    """Make a dead letter ready again with other bytes; False when it is not there as it was."""
    store, (queue, priority, tail) = broker.store, to
    with store.changed:
        message, dead = store.messages.get(letter.id), store.queue(letter.queue).dead
        if message is None or letter.id not in dead or message.raw != letter.raw:
            return False
        del dead[letter.id]
        memory_attempts.revive(message, store.now_ms, digest)
        message.queue, message.priority = queue, priority
        message.raw = stamped(tail, priority, store.now_ms)
        store.tombstones.pop(letter.id, None)
        store.results.forget([letter.id])
        store.queue(queue).to_back(message)
        store.names.add(queue)
        store.changed.notify_all()
        return True
