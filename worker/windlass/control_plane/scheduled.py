"""What waits for its time in a queue, and what is revoked; for people to look at."""

from __future__ import annotations

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.resp import packed


class ScheduledMessage(msgspec.Struct, kw_only=True, frozen=True):
    """One message that is not due yet. `due_ms` is of the broker's clock; `raw` the message."""

    id: str
    queue: str
    priority: int
    due_ms: int
    raw: bytes


def list_scheduled(
    broker: RedisBroker | MemoryBroker, queue: str, limit: int = 100
) -> list[ScheduledMessage]:
    """Return the messages of a queue that are due next, the earliest first; at most `limit`."""
    if isinstance(broker, MemoryBroker):
        with broker.store.changed:
            store = broker.store
            rows = [(m, due, store.messages[m[1:]].raw) for due, m in _in_memory(broker, queue)]
        return [_message(queue, *row) for row in rows[:limit]]
    found = broker.links.call(
        [packed("ZRANGE", broker.keys.queue(queue).scheduled, 0, limit - 1, "WITHSCORES")]
    )[0]
    if not found:
        return []
    members = [member.decode() for member in found[::2]]
    ids = [member[1:] for member in members]
    raws = broker.links.call([packed("HMGET", broker.keys.messages, *ids)])[0]
    rows = list(zip(members, map(_due_ms, found[1::2]), raws, strict=True))
    return [_message(queue, *row) for row in rows if row[2] is not None]


def list_revoked(broker: RedisBroker | MemoryBroker, limit: int = 1000) -> list[str]:
    """Return ids with a tombstone, the latest first; at most `limit`."""
    if isinstance(broker, MemoryBroker):
        with broker.store.changed:
            marks = broker.store.tombstones
            return sorted(marks, key=lambda id_: marks[id_][0], reverse=True)[:limit]
    call = packed("ZREVRANGE", broker.keys.revoked, 0, limit - 1)
    return [id_.decode() for id_ in broker.links.call([call])[0]]


def _in_memory(broker: MemoryBroker, queue: str) -> list[tuple[int, str]]:
    return list(broker.store.queue(queue).scheduled)


def _due_ms(score: bytes) -> int:
    return int(float(score))


def _message(queue: str, member: str, due_ms: int, raw: bytes) -> ScheduledMessage:
    return ScheduledMessage(
        id=member[1:], queue=queue, priority=int(member[0]), due_ms=due_ms, raw=raw
    )
