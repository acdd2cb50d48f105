"""Finding and revoking a message by its id alone. The message's own bytes name its queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from windlass.brokers.base import TOMBSTONE_MS, ControlMessage, StoredResult
from windlass.continuations import REVOKED, Part, part_of
from windlass.errors import DecodeError, InvalidQueueName
from windlass.messages import check_queue_name, open_envelope
from windlass.redis_store.connection import Links
from windlass.redis_store.continuing import given
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import outcome_script, script
from windlass.stamp_marks import marks_of
from windlass.states import Stage

#: Ids revoked in one trip; their messages are read whole, and may be large.
_PAGE = 50


def _leave(_ids: Iterable[str]) -> None:
    """Leave the rest of a release to whoever sweeps."""


class Revoker:
    """Revokes and locates by id.

    Args:
        finish: Sends the rest of continuations that a revoked part may have begun to release.
    """

    def __init__(
        self, links: Links, keys: Keys, finish: Callable[[Iterable[str]], None] = _leave
    ) -> None:
        self._links = links
        self._keys = keys
        self._finish = finish

    def raws_of(self, ids: Sequence[str]) -> dict[str, bytes | None]:
        """Return the bytes of each message, None if it is not there."""
        reads = [packed("HGET", self._keys.messages, id_) for id_ in ids]
        return dict(zip(ids, self._links.call(reads), strict=True))

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
            raws = self.raws_of(page)
            parts = {id_: part_of(id_, raw, REVOKED) for id_, raw in raws.items() if raw}
            calls = [
                self._call(id_, raws[id_], result_for(id_), (name, now), parts.get(id_))
                for id_ in page
            ]
            answers = [answer.decode() for answer in self._links.call(calls)]
            found = dict(zip(page, answers, strict=True))
            # One that moved to another queue since it was looked up is looked up again.
            pending = [id_ for id_ in pending if found.get(id_, "MOVED") == "MOVED"]
            stages |= {id_: Stage(answer) for id_, answer in found.items() if answer != "MOVED"}
            self._finish(part.then.id for part in parts.values() if part is not None)
        marked = [id_ for id_, stage in stages.items() if stage in (Stage.LEASED, Stage.UNKNOWN)]
        if marked:
            hint = ControlMessage(kind="revoke", ids=tuple(marked), signal=name)
            self._links.call([packed("PUBLISH", self._keys.control, hint.encode())])
        return stages

    def _call(
        self,
        message_id: str,
        raw: bytes | None,
        result: StoredResult | None,
        how: tuple[str, str],
        part: Part | None,
    ) -> bytes:
        (signal, now), queue = how, _queue_in(raw)
        keys, q = self._keys, self._keys.queue(queue or "default")
        part_keys, part_args = given(keys, part)
        touched = (
            keys.messages, keys.attempts, keys.revoked, q.leased, q.scheduled, q.parked, q.dead,
            q.condemned, keys.waiting, keys.result(message_id), keys.signals, q.blocked, q.line,
            *part_keys,
        )  # fmt: skip
        outcome = (0, 0, b"") if result is None else (1, result.ttl_ms, result.payload)
        args = (
            now, message_id, queue or "", TOMBSTONE_MS, *outcome, keys.done_prefix, signal,
            *part_args,
        )  # fmt: skip
        return outcome_script("revoke", keys).command(touched, args)

    def revoke_stamps(self, headers: Mapping[str, Any], signal: str, now: str = "") -> None:
        """Mark stamps; see `RedisBroker.revoke_stamps`."""
        touched = (self._keys.stamps, self._keys.stamps_generation)
        marks = [mark.encode() for mark in marks_of(headers, signal)]
        mark = script("revoke_stamps").command(touched, (now, TOMBSTONE_MS, *marks))
        hint = ControlMessage(kind="revoke_stamps", arguments=dict(headers), signal=signal)
        self._links.call([mark, packed("PUBLISH", self._keys.control, hint.encode())])

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
        keys, queue = self._keys, _queue_in(self.raws_of([message_id])[message_id])
        if queue is None:
            exists = self._links.call([packed("EXISTS", keys.result(message_id))])[0]
            return Stage.DONE if exists else Stage.UNKNOWN
        q = keys.queue(queue)
        members = [f"{priority}{message_id}" for priority in range(10)]
        leased, scheduled, parked, blocked, dead, condemned = self._links.call(
            [
                packed("HEXISTS", q.leased, message_id),
                packed("ZMSCORE", q.scheduled, *members),
                packed("HEXISTS", q.parked, message_id),
                packed("HEXISTS", q.blocked, message_id),
                packed("ZSCORE", q.dead, message_id),
                packed("SISMEMBER", q.condemned, message_id),
            ]
        )
        places = (
            (leased, Stage.LEASED),
            (any(score is not None for score in scheduled), Stage.SCHEDULED),
            (parked, Stage.PARKED),
            (blocked, Stage.BLOCKED),
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
