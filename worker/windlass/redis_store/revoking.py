"""Finding and revoking a message by its id alone. The message's own bytes name its queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windlass.brokers.base import TOMBSTONE_MS, ControlMessage, StoredResult
from windlass.errors import DecodeError, InvalidQueueName
from windlass.messages import check_queue_name, open_envelope
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import outcome_script
from windlass.states import Stage

#: Ids revoked in one trip; their messages are read whole, and may be large.
_PAGE = 50


class Revoker:
    """Revokes and locates by id."""

    def __init__(self, links: Links, keys: Keys) -> None:
        self._links = links
        self._keys = keys

    def queues_of(self, ids: Sequence[str]) -> dict[str, str | None]:
        """Return the queue of each message, None if it is not there or its bytes are damaged."""
        reads = [packed("HGET", self._keys.messages, id_) for id_ in ids]
        return dict(zip(ids, map(_queue_in, self._links.call(reads)), strict=True))

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
        name = signal if terminate else ""
        stages: dict[str, Stage] = {}
        pending = list(dict.fromkeys(ids))
        while pending:
            page = pending[:_PAGE]
            queues = self.queues_of(page)
            calls = [self._call(id_, queues[id_], result_for(id_), name, now) for id_ in page]
            answers = [answer.decode() for answer in self._links.call(calls)]
            found = dict(zip(page, answers, strict=True))
            # One that moved to another queue since it was looked up is looked up again.
            pending = [id_ for id_ in pending if found.get(id_, "MOVED") == "MOVED"]
            stages |= {id_: Stage(answer) for id_, answer in found.items() if answer != "MOVED"}
        marked = [id_ for id_, stage in stages.items() if stage in (Stage.LEASED, Stage.UNKNOWN)]
        if marked:
            hint = ControlMessage(kind="revoke", ids=tuple(marked), signal=name)
            self._links.call([packed("PUBLISH", self._keys.control, hint.encode())])
        return stages

    def _call(
        self, message_id: str, queue: str | None, result: StoredResult | None, signal: str, now: str
    ) -> bytes:
        keys, q = self._keys, self._keys.queue(queue or "default")
        touched = (
            keys.messages, keys.attempts, keys.revoked, q.leased, q.scheduled, q.parked, q.dead,
            q.condemned, keys.waiting, keys.result(message_id), keys.signals,
        )  # fmt: skip
        outcome = (0, 0, b"") if result is None else (1, result.ttl_ms, result.payload)
        args = (now, message_id, queue or "", TOMBSTONE_MS, *outcome, keys.done_prefix, signal)
        return outcome_script("revoke", keys).command(touched, args)

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
        keys, queue = self._keys, self.queues_of([message_id])[message_id]
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


def _queue_in(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    try:
        return check_queue_name(open_envelope(raw).queue)
    except (DecodeError, InvalidQueueName):
        return None
