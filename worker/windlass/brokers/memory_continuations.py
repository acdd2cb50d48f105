"""The part of the in-memory broker that keeps continuations (`windlass.continuations`).

Not locked: `windlass.brokers.memory_store` owns the lock and calls this. The semantics are those of
`windlass.redis_store.lua.lib.continuation` (one conformance suite runs on both).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from windlass.brokers.base import StepDone
from windlass.continuations import (
    DEAD,
    VANISHED,
    Continuation,
    End,
    Part,
    Release,
    Waiting,
    part_of,
    plain_failure,
    too_large,
)
from windlass.messages import Outgoing, Then
from windlass.released import failing_message_of, message_of

if TYPE_CHECKING:
    from windlass.brokers.memory_queue import Stored
    from windlass.brokers.memory_store import MemoryStore


class Record(msgspec.Struct, kw_only=True, gc=False):
    """A continuation that waits.

    Attributes:
        members: Index -> id of the message that the part comes from; added ones too.
        sources: Index -> the continuation that will send that message.
        holders: Index -> who else answers for the part: w<worker id>, c<continuation id>.
        parts: Index -> its values.
        failure: What ended the wait.
        checked_ms: When somebody last looked after it.
    """

    declared: Continuation
    members: dict[int, str]
    sources: dict[int, str]
    checked_ms: int
    holders: dict[int, str] = {}
    parts: dict[int, tuple[bytes, ...]] = {}
    failure: bytes = b""


class MemoryContinuations:
    """Continuations of one store.

    Attributes:
        records: By id.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.records: dict[str, Record] = {}

    def declare(self, continuations: Iterable[Continuation]) -> None:
        """Store continuations; one that is there stays as it is."""
        for each in continuations:
            record = Record(
                declared=each,
                members=dict(enumerate(each.members)),
                sources={i: source for i, source in enumerate(each.sources) if source},
                checked_ms=self._store.now_ms,
            )
            self.records.setdefault(each.id, record)

    # -- parts

    def step_ended(self, item: StepDone) -> None:
        """Do what the end of a step brings with it, its follow-ups aside."""
        then = item.part.then if item.part is not None else item.holds
        record = None if then is None else self.records.get(then.id)
        if record is None or then is None:
            return
        if item.part is None:
            record.holders[then.index] = item.holder
            return
        if not record.failure and then.index not in record.parts:
            record.members.update(item.grows)
        self.give(item.part)

    def give(self, part: Part | None) -> None:
        """Take a part; one that is there, or whose continuation is gone, has been counted."""
        record = None if part is None else self.records.get(part.then.id)
        if part is None or record is None or record.failure or part.then.index in record.parts:
            return
        record.parts[part.then.index] = part.values
        record.failure = part.failure
        self._release_if_due(record)

    def ended_without_worker(self, message: Stored, end: End) -> None:
        """Take the part of a message that no worker ends."""
        self.give(part_of(message.id, message.raw, end))

    def _release_if_due(self, record: Record) -> None:
        if not record.failure and len(record.parts) < len(record.members):
            return
        declared = record.declared
        tails = [self._tail(record, release) for release in declared.releases]
        if not record.failure and any(len(tail) > declared.max_bytes for tail in tails):
            record.failure = plain_failure(declared.id, too_large(declared.max_bytes))
            tails = [self._tail(record, release) for release in declared.releases]
        del self.records[declared.id]
        for release, tail in zip(declared.releases, tails, strict=True):
            self._store.add(_outgoing(release, tail, is_failing=bool(record.failure)))
            if release.feeds in self.records:
                self.records[release.feeds].checked_ms = self._store.now_ms

    def _tail(self, record: Record, release: Release) -> bytes:
        if record.failure:
            return failing_message_of(release, record.failure)
        if not release.takes:
            return message_of(release, ())
        column = record.declared.formats.index(release.takes)
        return message_of(release, [record.parts[i][column] for i in sorted(record.members)])

    # -- looking after

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """See `windlass.brokers.base.Broker.sweep`."""
        now_ms = self._store.now_ms
        old = [r for r in self.records.values() if r.checked_ms <= now_ms - older_than_ms]
        old.sort(key=lambda record: (record.checked_ms, record.declared.id))
        ended = 0
        for record in old[:limit]:
            record.checked_ms = now_ms
            for index, member in record.members.items():
                end = self._lost(record, index, member)
                if index not in record.parts and end is not None:
                    then = Then(record.declared.id, index)
                    self.give(Part(then=then, failure=plain_failure(member, end)))
                    ended += 1
                    break
        return ended

    def _lost(self, record: Record, index: int, member: str) -> End | None:
        """Return how a member has ended whose part will never come, None if it may come."""
        store = self._store
        message = store.messages.get(member)
        if message is not None:
            return DEAD if member in store.queue(message.queue).dead else None
        if record.sources.get(index) in self.records:
            return None
        holder = record.holders.get(index, "")
        if holder[:1] == "c" and holder[1:] in self.records:
            return None
        until_ms, _ = store.workers.get(holder[1:], (0, None))
        return None if holder[:1] == "w" and until_ms > store.now_ms else VANISHED

    def waiting(self, id_: str) -> Waiting | None:
        """Return a continuation as it is."""
        record = self.records.get(id_)
        if record is None:
            return None
        return Waiting(
            id=id_,
            members=tuple(record.members[i] for i in sorted(record.members)),
            arrived=tuple(sorted(record.parts)),
            sends=tuple(release.id for release in record.declared.releases),
        )


def _outgoing(release: Release, tail: bytes, *, is_failing: bool) -> Outgoing:
    message = Outgoing(id=release.id, queue=release.queue, tail=tail, priority=release.priority)
    if not is_failing:
        message.delay_ms, message.eta_ms = release.delay_ms, release.eta_ms
        message.ttl_ms, message.expires_at_ms = release.ttl_ms, release.expires_at_ms
    return message
