"""One queue of the in-memory broker: its places, and how a message goes from one to another.

Not locked: `windlass.brokers.memory_store` owns the lock and the messages.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from windlass.brokers.base import QueueDepth
from windlass.brokers.memory_limits import Lines
from windlass.messages import FORMAT_VERSION, PREFIX_SIZE, Outgoing

_LEVELS = 10
_LATEST_MS = 2**48 - 1  # what six bytes hold


class Stored(msgspec.Struct, kw_only=True, gc=False):
    """A message: its bytes as a worker gets them, and its counters."""

    id: str
    queue: str
    priority: int
    raw: bytes
    deliveries: int = 0
    handbacks: int = 0
    generation: int = 0
    #: See `windlass.attempts`.
    flags: int = 0
    #: Lines of `windlass.attempts`, oldest first.
    attempts: list[bytes] = []


class Grant(msgspec.Struct, gc=False):
    """One lease: the ids that were fetched together, and those not settled yet."""

    token: int
    deadline_ms: int
    ids: list[str]
    left: int
    worker: str


class Obit(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Why a message is a dead letter."""

    reason: str
    detail: str
    worker: str
    at_ms: int


class MemoryQueue:
    """The places of one queue.

    Attributes:
        wakes: Counts what a waiting worker should look at.
        record: The queue record's fields that were set.
        parks: Counts parkings: workers look whether they know the task.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: list[deque[str]] = [deque() for _ in range(_LEVELS)]
        self.scheduled: list[tuple[int, str]] = []
        self.leased: dict[str, int] = {}
        self.grants: dict[int, Grant] = {}
        #: Id -> when it was parked, ms, and the task that nobody knew.
        self.parked: dict[str, tuple[int, str]] = {}
        self.dead: dict[str, Obit] = {}
        self.record: dict[str, Any] = {}
        self.lines = Lines()
        self.wakes = 0
        self.parks = 0
        self.enqueued = 0
        self.completed = 0
        self.service_ms = 0.0

    @property
    def is_paused(self) -> bool:
        """Whether nothing may be leased."""
        return bool(self.record.get("paused"))

    @property
    def keeps(self) -> frozenset[str]:
        """Which ends make dead letters here, as the record says."""
        return frozenset(
            end for end in ("expired", "failed") if self.record.get(f"dead_{end}") == 1
        )

    def bury(self, message_id: str, reason: str, detail: str, worker: str, now_ms: int) -> None:
        """Make a dead letter."""
        self.dead[message_id] = Obit(reason=reason, detail=detail, worker=worker, at_ms=now_ms)

    def place(self, message: Stored, due_ms: int, now_ms: int) -> None:
        """Put a message where its time says, behind what is ready already."""
        if due_ms <= now_ms:
            self.to_back(message)
        else:
            insort(self.scheduled, (due_ms, _member(message)))
            self.wakes += 1

    def to_back(self, message: Stored) -> None:
        """Make it ready behind the others of its priority."""
        self.ready[message.priority].append(message.id)
        self.wakes += 1

    def to_front(self, message: Stored) -> None:
        """Make it ready before the others of its priority."""
        self.ready[message.priority].appendleft(message.id)
        self.wakes += 1

    def promote(self, now_ms: int) -> None:
        """Make ready what is due, in the order of the due times."""
        at = bisect_left(self.scheduled, (now_ms + 1, ""))
        for _, member in self.scheduled[:at]:
            self.ready[int(member[0])].append(member[1:])
        del self.scheduled[:at]

    def by_urgency(self) -> Iterator[deque[str]]:
        """Return the ready ids, the highest priority first."""
        return reversed(self.ready)

    def pop(self) -> str | None:
        """Take the id that is next, None if none is ready."""
        ids = next((ids for ids in self.by_urgency() if ids), None)
        return ids.popleft() if ids else None

    def remove_waiting(self, message: Stored) -> str | None:
        """Take a message out of where it waits; return that place, None if it does not wait."""
        at = next((i for i, e in enumerate(self.scheduled) if e[1] == _member(message)), None)
        if at is not None:
            del self.scheduled[at]
            return "SCHEDULED"
        if self.parked.pop(message.id, None) is not None:
            return "PARKED"
        if self.lines.remove(message.id):
            return "BLOCKED"
        ready = self.ready[message.priority]
        if message.id in ready:
            ready.remove(message.id)
            return "QUEUED"
        return None

    def waiting_ids(self) -> list[str]:
        """Return the ids of all that waits: ready, scheduled, parked."""
        ready = [id_ for ids in self.by_urgency() for id_ in ids]
        scheduled = (member[1:] for _, member in self.scheduled)
        return [*ready, *scheduled, *self.parked, *self.lines.blocked]

    def drop_waiting(self) -> None:
        """Empty the places in which messages wait."""
        for ids in self.ready:
            ids.clear()
        self.scheduled.clear()
        self.parked.clear()
        self.lines.clear()

    def owns(self, message_id: str, token: int) -> bool:
        """Whether the grant still owns the message."""
        return self.leased.get(message_id) == token

    def unlease(self, message_id: str) -> None:
        """Settle one message of its grant; the last closes it."""
        grant = self.grants[self.leased.pop(message_id)]
        grant.left -= 1
        if grant.left == 0:
            del self.grants[grant.token]

    def expired(self, now_ms: int) -> list[Grant]:
        """Return the grants that ran out, the oldest first."""
        over = [grant for grant in self.grants.values() if grant.deadline_ms <= now_ms]
        return sorted(over, key=lambda grant: (grant.deadline_ms, grant.token))

    def soonest(self) -> list[int]:
        """Return when the next lease runs out, and the next scheduled message can be served."""
        times = [min(g.deadline_ms for g in self.grants.values())] if self.grants else []
        if not self.is_paused:
            times += [due for due, _ in self.scheduled[:1]]
        return times

    def depth(
        self, messages: dict[str, Stored], started: int, now_ms: int, horizon_ms: int
    ) -> QueueDepth:
        """Count what is where; due messages and expired leases count as open.

        And so does a message for each gate that may be tried now.
        """
        due = bisect_left(self.scheduled, (now_ms + 1, ""))
        soon = bisect_left(self.scheduled, (now_ms + horizon_ms + 1, ""))
        expired = sum(grant.left for grant in self.expired(now_ms))
        heads = [messages[ids[0]].raw for ids in self.ready if ids]
        since = [
            now_ms,
            *map(_waits_since, heads),
            *(at for at, _ in self.scheduled[: min(due, 1)]),
        ]
        leased = len(self.leased) - expired
        may, may_soon, next_try_ms = self.lines.may_be_tried(now_ms, horizon_ms)
        next_due_ms = self.scheduled[due][0] if due < len(self.scheduled) else 0
        return QueueDepth(
            queue=self.name,
            open=sum(map(len, self.ready)) + due + expired + may,
            parked=len(self.parked),
            blocked=len(self.lines.blocked) - may,
            scheduled=len(self.scheduled) - due,
            due_soon=soon - due + may_soon,
            next_due_ms=min((at for at in (next_due_ms, next_try_ms) if at), default=0),
            leased=leased,
            started=min(started, leased),
            dead=len(self.dead),
            oldest_ms=now_ms - min(since),
            enqueued=self.enqueued,
            completed=self.completed,
            service_ms=self.service_ms,
            paused=self.is_paused,
        )


def stored(message: Outgoing, now_ms: int, late_ms: int) -> tuple[Stored, int]:
    """Stamp what a client sends: the message, and when it is due (0: now).

    Args:
        message: As sent.
        now_ms: The broker's clock.
        late_ms: Added to delays, where the clock is cut to milliseconds: late, never early.
    """
    due_ms = _absolute(message.delay_ms, message.eta_ms, now_ms, late_ms)
    expires_ms = _absolute(message.ttl_ms, message.expires_at_ms, now_ms, 0)
    raw = stamped(message.tail, message.priority, now_ms, due_ms, expires_ms)
    made = Stored(id=message.id, queue=message.queue, priority=message.priority, raw=raw)
    return made, due_ms


def stamped(tail: bytes, priority: int, now_ms: int, due_ms: int = 0, expires_ms: int = 0) -> bytes:
    """Return the bytes of a message (`windlass.messages`)."""
    times = b"".join(ms.to_bytes(6, "big") for ms in (now_ms, due_ms, expires_ms))
    prefix = bytes((FORMAT_VERSION, 48 + priority)) + times
    return prefix.ljust(PREFIX_SIZE, b"\0") + tail


def _absolute(relative_ms: int | None, at_ms: int | None, now_ms: int, late_ms: int) -> int:
    if relative_ms is not None:
        at_ms = now_ms + relative_ms + (late_ms if relative_ms > 0 else 0)
    return 0 if at_ms is None else max(1, min(at_ms, _LATEST_MS))


def _member(message: Stored) -> str:
    return f"{message.priority}{message.id}"


def _waits_since(raw: bytes) -> int:
    return max(int.from_bytes(raw[2:8], "big"), int.from_bytes(raw[8:14], "big"))
