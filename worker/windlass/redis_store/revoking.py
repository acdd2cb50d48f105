"""Finding and revoking a message by its id alone. The message's own bytes name its queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from windlass.brokers.base import StoredResult
from windlass.errors import DecodeError
from windlass.messages import open_envelope
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script
from windlass.states import Stage

#: How long a tombstone waits for a message that a worker has or that is not sent yet.
TOMBSTONE_MS = 24 * 3600 * 1000


class ControlMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A hint to workers. What must not be missed is in tombstones and cordons as well.

    Attributes:
        kind: "revoke", or "shutdown".
        ids: The messages meant.
        signal: For revoke: the signal that ends a run, '' to leave runs alone.
        workers: The workers meant; empty for all.
    """

    kind: str
    ids: tuple[str, ...] = ()
    signal: str = ""
    workers: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """JSON bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, payload: bytes) -> ControlMessage:
        """Read JSON bytes; what is not one becomes kind "unknown", to be ignored."""
        try:
            return msgspec.json.decode(payload, type=cls)
        except msgspec.DecodeError:
            return cls(kind="unknown")


class Revoker:
    """Revokes and locates by id."""

    def __init__(self, links: Links, keys: Keys) -> None:
        self._links = links
        self._keys = keys

    def queue_of(self, message_id: str) -> str | None:
        """Return the queue of a message, None if it is not there or its bytes are damaged."""
        raw = self._links.call([packed("HGET", self._keys.messages, message_id)])[0]
        if raw is None:
            return None
        try:
            return open_envelope(raw).queue
        except DecodeError:
            return None

    def revoke(
        self,
        ids: Sequence[str],
        *,
        result_for: Callable[[str], StoredResult | None],
        terminate: bool,
        signal: str,
        now: str = "",
    ) -> dict[str, Stage]:
        """Revoke each id; see `RedisBroker.revoke`."""
        stages = {id_: self._revoke_one(id_, result_for(id_), now) for id_ in ids}
        marked = [id_ for id_, stage in stages.items() if stage in (Stage.LEASED, Stage.UNKNOWN)]
        if marked:
            name = signal if terminate else ""
            hint = ControlMessage(kind="revoke", ids=tuple(marked), signal=name)
            commands = [packed("PUBLISH", self._keys.control, hint.encode())]
            if name:
                pairs = [part for id_ in marked for part in (id_, name)]
                commands.insert(0, packed("HSET", self._keys.signals, *pairs))
            self._links.call(commands)
        return stages

    def _revoke_one(self, message_id: str, result: StoredResult | None, now: str) -> Stage:
        keys = self._keys
        while True:
            queue = self.queue_of(message_id)
            q = keys.queue(queue or "default")
            touched = (
                keys.messages, keys.attempts, keys.revoked, q.leased, q.scheduled, q.parked,
                q.dead, q.condemned, keys.waiting, keys.result(message_id),
            )  # fmt: skip
            outcome = (0, 0, b"") if result is None else (1, result.ttl_ms, result.payload)
            args = (now, message_id, queue or "", TOMBSTONE_MS, *outcome, keys.done_prefix)
            answer = self._links.call([script("revoke").command(touched, args)])[0].decode()
            if answer != "MOVED":
                return Stage(answer)
            if queue is None:  # there, but damaged: no worker can run it, the dead letters get it
                return Stage.QUEUED

    def revoked(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the ids that have a tombstone, each with the signal that ends its run."""
        if not ids:
            return {}
        scores, signals = self._links.call(
            [
                packed("ZMSCORE", self._keys.revoked, *ids),
                packed("HMGET", self._keys.signals, *ids),
            ]
        )
        return {
            id_: (signal or b"").decode()
            for id_, score, signal in zip(ids, scores, signals, strict=True)
            if score is not None
        }

    def stage(self, message_id: str) -> Stage:
        """Where the message is; a snapshot of several reads, for people."""
        keys, queue = self._keys, self.queue_of(message_id)
        if queue is None:
            exists = self._links.call([packed("EXISTS", keys.result(message_id))])[0]
            return Stage.DONE if exists else Stage.UNKNOWN
        q = keys.queue(queue)
        members = [f"{priority}{message_id}" for priority in range(10)]
        leased, scheduled, parked, dead, condemned = self._links.call(
            [
                packed("HEXISTS", q.leased, message_id),
                packed("ZMSCORE", q.scheduled, *members),
                packed("HEXISTS", q.parked, message_id),
                packed("ZSCORE", q.dead, message_id),
                packed("SISMEMBER", q.condemned, message_id),
            ]
        )
        places = (
            (leased, Stage.LEASED),
            (any(score is not None for score in scheduled), Stage.SCHEDULED),
            (parked, Stage.PARKED),
            (dead is not None, Stage.DEAD),
            (condemned, Stage.DONE),
        )
        return next((stage for found, stage in places if found), Stage.QUEUED)
