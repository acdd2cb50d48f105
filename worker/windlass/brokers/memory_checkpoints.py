"""Checkpoints in memory; `windlass.redis_store.lua.checkpoint` says what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

_ENQUEUED = slice(2, 8)


class _Kept(NamedTuple):
    enqueued: bytes
    retries: int
    payload: bytes
    checked_ms: int


class MemoryCheckpoints:
    """Implements `windlass.brokers.checkpoints.Checkpoints`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._kept: dict[str, _Kept] = {}

    def save(self, message_id: str, queue: str, token: int, retries: int, payload: bytes) -> bool:
        """See `Checkpoints.save`."""
        store = self._store
        with store.changed:
            if not store.queue(queue).owns(message_id, token):
                return False
            enqueued = store.messages[message_id].raw[_ENQUEUED]
            self._kept[message_id] = _Kept(enqueued, retries, payload, store.now_ms)
            if not payload:
                del self._kept[message_id]
            return True

    def read(self, message_id: str, retries: int) -> bytes | None:
        """See `Checkpoints.read`."""
        with self._store.changed:
            kept, message = self._kept.get(message_id), self._store.messages.get(message_id)
            if kept is None or message is None or kept.retries > retries:
                return None
            is_its = kept.retries < retries or kept.enqueued == message.raw[_ENQUEUED]
            return kept.payload if is_its else None

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """See `Checkpoints.sweep`."""
        store = self._store
        with store.changed:
            until = store.now_ms - older_than_ms
            old = [id_ for id_, kept in self._kept.items() if kept.checked_ms <= until][:limit]
            gone = [id_ for id_ in old if id_ not in store.messages]
            for id_ in old:
                self._kept[id_] = self._kept[id_]._replace(checked_ms=store.now_ms)
            for id_ in gone:
                del self._kept[id_]
            return len(gone)
