"""What the supervisor has in hand: one entry a message, the facts of its task, and the grants.

Reading a message here costs two slices and a dictionary look-up; nothing of it is decoded.
Next in the walk: `windlass.runtime.dispatch`.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from windlass import messages
from windlass.brokers.base import Delivery
from windlass.runtime.pacing import RunTime
from windlass.runtime.rates import TokenBucket
from windlass.runtime.state import TaskCounts

_QUEUE_AT = messages.PREFIX_SIZE
_unpack_length = struct.Struct("!I").unpack_from
_EARLY = b'"acks_late":false'
_OWN_LIMIT = b'"timelimit"'
_STAMPED = b'"stamps":{'
#: Names come off the wire; what is beyond this many is looked up each time.
_FACTS_KEPT = 10_000
#: Heads are kept until there are so many; those of messages that tasks send differ in each.
_HEADS_KEPT = 2048


class Facts:
    """What the supervisor knows of one task of one queue.

    `run_time` and `bucket` belong to the task: its queues share them.
    """

    __slots__ = (
        "acks_early", "bucket", "counts", "hard_s", "ignores_result", "is_known", "keeps_failed",
        "name", "run_time", "stores_errors", "track_started",
    )  # fmt: skip

    def __init__(self, name: str, *, is_known: bool = True) -> None:
        self.name = name
        self.is_known = is_known
        self.run_time = RunTime()
        self.counts = TaskCounts()
        self.acks_early = False
        self.track_started = False
        self.ignores_result = False
        self.stores_errors = True
        self.keeps_failed = False
        #: The hard limit of messages without one of their own, seconds.
        self.hard_s: float | None = None
        self.bucket: TokenBucket | None = None


class Entry(msgspec.Struct, gc=False):
    """One message in hand, from fetch to settlement."""

    id: str
    queue: str
    token: int
    raw: bytes
    facts: Facts
    deliveries: int
    handbacks: int
    #: What pacing counts it as while it is in a slot.
    weight_s: float = 0.0
    #: Hard limit, seconds, from when it begins.
    hard_s: float | None = None
    #: Acknowledged at start: settled before it begins, never run again.
    acks_early: bool = False
    is_acked: bool = False
    note: bool = False
    #: Monotonic time when it came, s.
    fetched_at: float = 0.0
    #: Monotonic time when it began, if a note said so.
    started_at: float | None = None
    #: Its lease is somebody else's: let it run, drop its outcome.
    is_lost: bool = False
    #: Where the body begins in `raw`, 0 where that cannot be read.
    body_at: int = 0
    #: It may have stamps, which may be revoked.
    is_stamped: bool = False
    #: Times it was replayed.
    generation: int = 0
    #: A process died under it, or its lease ran out more than once: it runs alone.
    is_suspect: bool = False
    #: It was replayed since its last retry.
    forgets_retries: bool = False


class Limits(Protocol):
    """The part of the executor that the supervisor asks."""

    def effective_limits(self, raw: bytes) -> tuple[float | None, float | None]:
        """Return (hard, soft) in seconds of one message."""


class Reader:
    """Turns deliveries into entries.

    Args:
        describe: Gives the facts of a task from a queue: (queue, task name); asked once each.
        limits: Asked for messages with a time limit of their own.
    """

    def __init__(self, describe: Callable[[str, str], Facts], limits: Limits) -> None:
        self._describe = describe
        self._limits = limits
        self._facts: dict[bytes, Facts] = {}
        #: By queue, task and headers, which are equal in many messages: what the headers say.
        self._heads: dict[bytes, tuple[Facts, bool, bool, bool]] = {}
        #: For bytes that cannot be read: the executor says what is wrong with them.
        self._unreadable = Facts("")

    def entry(self, delivery: Delivery, now: float) -> Entry:
        """Wrap one delivery."""
        raw = delivery.raw
        facts, early, hard_s, body_at, is_stamped = self._read(delivery.queue, raw)
        return Entry(
            delivery.id,
            delivery.queue,
            delivery.token,
            raw,
            facts,
            delivery.deliveries,
            delivery.handbacks,
            0.0,
            hard_s,
            early,
            False,
            facts.track_started,
            now,
            None,
            False,
            body_at,
            is_stamped,
            delivery.generation,
            delivery.is_suspect,
            delivery.forgets_retries,
        )

    def facts_of(self, task: str) -> list[Facts]:
        """Return the facts of a task, one for each queue it came from."""
        return [facts for facts in self._facts.values() if facts.name == task]

    def hard_limit(self, entry: Entry) -> float | None:
        """Return the hard limit of a message, seconds, as the facts are now."""
        return self._read(entry.queue, entry.raw)[2]

    def _read(self, queue: str, raw: bytes) -> tuple[Facts, bool, float | None, int, bool]:
        try:
            task_at = _QUEUE_AT + 3 + raw[_QUEUE_AT]
            task_end = task_at + (raw[task_at - 2] << 8) + raw[task_at - 1]
            headers_end = task_end + 4 + _unpack_length(raw, task_end)[0]
        except (IndexError, struct.error):
            return self._unreadable, False, None, 0, False
        if raw[0] != messages.FORMAT_VERSION or headers_end > len(raw):
            return self._unreadable, False, None, 0, False
        head = raw[_QUEUE_AT:headers_end]
        known = self._heads.get(head)
        if known is None:
            facts = self._facts.get(raw[_QUEUE_AT:task_end])
            if facts is None:
                facts = self._meet(queue, raw[_QUEUE_AT:task_end], raw[task_at:task_end])
            known = facts, _EARLY in head, _OWN_LIMIT in head, _STAMPED in head
            if len(self._heads) >= _HEADS_KEPT:
                self._heads.clear()
            self._heads[head] = known
        facts, early, has_limit, is_stamped = known
        hard_s = self._own_limit(raw) if has_limit else facts.hard_s
        return facts, early or facts.acks_early, hard_s, headers_end, is_stamped

    def _meet(self, queue: str, address: bytes, name: bytes) -> Facts:
        try:
            facts = self._describe(queue, name.decode())
        except UnicodeDecodeError:
            facts = self._unreadable
        if len(self._facts) < _FACTS_KEPT:
            self._facts[address] = facts
        return facts

    def _own_limit(self, raw: bytes) -> float | None:
        try:
            return self._limits.effective_limits(raw)[0]
        except Exception:  # whatever is wrong with it, the executor says so
            return None


class Grants:
    """The leases that this worker holds: token -> queue and messages not settled yet.

    Written by the supervisor's loop, read by the lease keeper's thread; a lock is taken for each
    grant, never for each message.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue_of: dict[int, str] = {}
        self._left: dict[int, int] = {}
        #: Token -> monotonic time until which the broker certainly keeps the lease for us.
        self._good_until: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._queue_of)

    def add(self, entries: Iterable[Entry], good_until: float) -> None:
        """Take the messages of one fetch into account."""
        counts: dict[int, int] = {}
        queues: dict[int, str] = {}
        for entry in entries:
            counts[entry.token] = counts.get(entry.token, 0) + 1
            queues[entry.token] = entry.queue
        with self._lock:
            for token, count in counts.items():
                self._left[token] = self._left.get(token, 0) + count
                self._queue_of[token] = queues[token]
                self._good_until[token] = good_until

    def settled(self, tokens: Iterable[int]) -> None:
        """Count messages as settled; a grant with none left is renewed no more."""
        left = self._left
        for token in tokens:
            count = left.get(token)
            if count is None:
                continue
            if count > 1:
                left[token] = count - 1
            else:
                self.drop((token,))

    def drop(self, tokens: Iterable[int]) -> None:
        """Forget grants: finished, or lost."""
        with self._lock:
            for token in tokens:
                self._queue_of.pop(token, None)
                self._left.pop(token, None)
                self._good_until.pop(token, None)

    def by_queue(self) -> dict[str, list[int]]:
        """Return the tokens to renew."""
        found: dict[str, list[int]] = {}
        with self._lock:
            for token, queue in self._queue_of.items():
                found.setdefault(queue, []).append(token)
        return found

    def renewed(self, tokens: Iterable[int], good_until: float) -> None:
        """Note that the broker has extended these."""
        with self._lock:
            for token in tokens:
                if token in self._good_until:
                    self._good_until[token] = good_until

    def is_surely_ours(self, token: int, now: float) -> bool:
        """Whether the lease cannot have run out by now."""
        return self._good_until.get(token, 0.0) > now
