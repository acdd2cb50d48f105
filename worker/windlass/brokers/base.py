"""What the engine asks of a broker: plain data in, plain data out, one round trip a call.

A message is in exactly one place (ready, scheduled, leased, dead) or gone, and every method below
is one atomic move per message. Brokers know nothing of tasks, apps or serializers.
Next in the walk: `windlass.brokers.redis`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.settlements import (
    Again,
    Bury,
    Crashed,
    DeadEnd,
    Done,
    HandBack,
    Park,
    Settlement,
    StepDone,
    StoredResult,
)
from windlass.brokers.unique import Claimed, ReplacedResult, Swept, Tails, no_result
from windlass.continuations import Continuation, Part, Waiting
from windlass.messages import Outgoing
from windlass.stamp_marks import StampMarks
from windlass.states import Stage

#: The settlements are part of the protocol: whoever speaks it imports them from here.
__all__ = [
    "Again",
    "Bury",
    "Crashed",
    "DeadEnd",
    "Done",
    "HandBack",
    "Park",
    "Settlement",
    "StepDone",
    "StoredResult",
]


class Capability(StrEnum):
    """What a broker can do; using what it lacks is an error at start."""

    PRIORITIES = "priorities"
    SCHEDULED = "scheduled"
    REVOKE = "revoke"
    RESULTS = "results"
    PARKING = "parking"
    #: Continuations: the steps of chains and chords.
    JOINS = "joins"
    #: Messages that are not stored beside others like them.
    UNIQUE = "unique"
    #: Limits that all workers share: rates, concurrency, turns.
    LIMITS = "limits"
    #: Other processes see it: workers of a process of their own, and pools of several processes.
    PROCESSES = "processes"


#: How long a tombstone waits for a message that a worker has or that is not sent yet.
TOMBSTONE_MS = 24 * 3600 * 1000


class ControlMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A hint to workers. What must not be missed is in tombstones and cordons as well.

    Attributes:
        kind: "revoke", "revoke_stamps", "shutdown", "cordon", or "call": a remote command.
        ids: The messages meant.
        signal: For revoke: the signal that ends a run, '' to leave runs alone.
        workers: The workers meant, by worker id or node name; empty for all.
        method: For call: the command's name, see `windlass.runtime.remote`.
        arguments: For call: what it takes; plain data.
        reply_to: For call: where `answer_call` sends answers to, '' for none wanted.
        pattern: For call: only workers whose node name matches, '' for all.
        is_regex: The pattern is a regular expression, not a glob.
    """

    kind: str
    ids: tuple[str, ...] = ()
    signal: str = ""
    workers: tuple[str, ...] = ()
    method: str = ""
    arguments: dict[str, Any] = {}
    reply_to: str = ""
    pattern: str = ""
    is_regex: bool = False

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


class Delivery(msgspec.Struct, kw_only=True, gc=False):
    """A leased message, as fetched. `raw` is decoded by `windlass.messages`."""

    id: str
    queue: str
    #: Fencing token of the grant; every settlement carries it.
    token: int
    raw: bytes
    #: Deliveries before this one that ended in a crash or an expired lease.
    deliveries: int = 0
    #: Times it was handed back (drain, stall, eviction); never capped, only reported.
    handbacks: int = 0
    #: Revoked before it was leased: settle it as REVOKED, do not run it.
    revoked: bool = False
    #: Times it was replayed from the dead letters.
    generation: int = 0
    #: A process died under it, or its lease ran out more than once: it runs alone.
    is_suspect: bool = False
    #: It was replayed since its last retry: those that its headers name do not count any more.
    forgets_retries: bool = False


class FetchRequest(msgspec.Struct, kw_only=True, gc=False):
    """Ask for work.

    Attributes:
        queues: In the order to be served.
        want: At most this many messages, and never more than 1000; 0 asks for nothing.
        lease_ms: Length of the lease.
        wait_ms: When nothing is there, register as waiting for so long (0: do not).
        strict: Serve queues strictly in order; else each gets an even share first, and they take
            turns at being the first.
        stamps_seen: The generation of revoked stamps that the worker knows.
        step_only: The message that the settled step releases is enough, if it can be leased in the
            commit: a broker need not look at the queues then. See `Fetched.is_step`.
        idle: Lanes that could begin at once: of slots that are scarce no more are taken. Negative:
            so many more messages are in hand than lanes. None: any number.
    """

    worker_id: str
    queues: tuple[str, ...]
    want: int
    lease_ms: int
    wait_ms: int = 0
    strict: bool = False
    stamps_seen: int = 0
    step_only: bool = False
    idle: int | None = None


class Fetched(msgspec.Struct, kw_only=True, gc=False):
    """The answer to a FetchRequest.

    Attributes:
        now_ms: The broker's clock.
        next_due_ms: When something becomes due or a lease runs out, 0 if nothing will.
        cordoned: The operator asked this worker to take nothing more.
        expired_leases: Queues with leases that ran out: reap them.
        parked: Queues with parked messages -> their park generation.
        paused: Queues that are paused.
        stamps: Revoked stamps, if their generation is not the one seen.
        keeps: Queue -> which ends make dead letters there, "expired" and "failed"; those with one.
        is_step: The one delivery was leased in the commit that released it, nothing was ready
            before it, and the queues were not looked at: the rest says nothing.
    """

    now_ms: int
    deliveries: list[Delivery]
    next_due_ms: int = 0
    cordoned: bool = False
    expired_leases: tuple[str, ...] = ()
    parked: dict[str, int] = {}
    paused: tuple[str, ...] = ()
    stamps: StampMarks | None = None
    keeps: dict[str, frozenset[str]] = {}
    is_step: bool = False


class QueueDepth(msgspec.Struct, kw_only=True, frozen=True):
    """One queue as the broker sees it now. Counts are messages, ages and times milliseconds.

    Due scheduled messages and expired leases count as open, with or without a worker alive.

    Attributes:
        open: Ready to be leased now.
        parked: Waiting for a worker that knows their task.
        blocked: Held by a limit.
        scheduled: Not due yet.
        due_soon: Those of `scheduled` that are due within the horizon asked for (60 s), and the
            schedules (beat) that will send here within it.
        next_due_ms: Absolute time of the earliest scheduled message, or of the next fire of a
            schedule that sends here; 0 if none.
        leased: Owned by workers, running or about to.
        started: Those of `leased` that workers report as running.
        dead: Dead letters.
        oldest_ms: Age of the oldest open message, 0 if none.
        enqueued: Messages ever enqueued.
        completed: Messages ever ended (not retried or handed back).
        service_ms: Sum of the run times of the completed ones.
    """

    queue: str
    open: int = 0
    parked: int = 0
    blocked: int = 0
    scheduled: int = 0
    due_soon: int = 0
    next_due_ms: int = 0
    leased: int = 0
    started: int = 0
    dead: int = 0
    oldest_ms: int = 0
    enqueued: int = 0
    completed: int = 0
    service_ms: float = 0.0
    paused: bool = False

    @property
    def backlog(self) -> int:
        """Work that waits: open, and leased but not started, so that batches hide nothing."""
        return self.open + max(0, self.leased - self.started)


class Answers(Protocol):
    """Where the answers to a call come in. For one thread; nothing is kept when nobody listens."""

    def next_payload(self, timeout_s: float) -> bytes | None:
        """Return the next answer, None after the time-out."""

    def close(self) -> None:
        """Stop listening."""


class BrokerHealth(msgspec.Struct, kw_only=True, frozen=True):
    """What the broker said of itself at connect. None: it may not be asked."""

    version: str | None
    role: str | None
    maxmemory_policy: str | None
    appendonly: bool | None
    warnings: tuple[str, ...] = ()


class SentStep(Protocol):
    """A step that is on its way to the broker, see `Broker.begin_step`. Nothing of it waits."""

    @property
    def timeout_s(self) -> float:
        """To be given up after so long, seconds."""

    def fileno(self) -> int:
        """Readable when `arrived` is worth asking."""

    def arrived(self) -> bool:
        """Read what is there; True when nothing more will come: `fileno` is not valid then."""

    def fetched(self) -> Fetched | None:
        """Return what came; None: `exchange` it."""

    @property
    def is_declined(self) -> bool:
        """Whether the broker has answered that it is no plain step, and did nothing."""

    def give_up(self) -> None:
        """Wait no more for it; what was done is unknown."""


class Broker(Protocol):
    """The worker's and the client's view of a broker. Every method may raise OperationalError."""

    capabilities: frozenset[Capability]

    def enqueue(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        continuations: Sequence[Continuation] = (),
    ) -> list[bool]:
        """Store and make ready or scheduled, in one round trip.

        Args:
            messages: Any number.
            retry: How often to try again, instead of the broker's own policy.
            continuations: Stored before the first message; in the same step where there are few.

        Returns:
            For each message, whether it is new: an id that is already there is left as it is, and
            where the message says `once` so is one that has ended and whose outcome is kept.
        """

    def enqueue_unique(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        *,
        result_for: ReplacedResult = no_result,
        tails: Tails = None,
    ) -> list[Claimed]:
        """Store messages with locks, each unless another one holds its lock.

        Args:
            messages: Each with `unique`.
            retry: As for `enqueue`.
            result_for: Outcomes of messages that are replaced.
            tails: Where a message has to be made for the id that it is stored under.

        Returns:
            What became of each, in order. To have one rejected is the caller's part.
        """

    def sweep_unique(self, cursor: str = "0") -> Swept:
        """Drop locks that hold nothing any more. Bounded; goes on where `cursor` says."""

    def exchange(
        self, settlements: Sequence[Settlement], request: FetchRequest | None
    ) -> tuple[list[str], Fetched | None]:
        """Settle what is finished and fetch what is next, in one round trip.

        Returns:
            The ids whose token was stale (nothing was done for them), and what was fetched.
        """

    def begin_step(
        self, settlements: Sequence[Settlement], request: FetchRequest
    ) -> SentStep | None:
        """Send a lone step without waiting for the answer; None where that cannot be.

        Args:
            settlements: As `exchange` takes them.
            request: With `step_only`.
        """

    def wait(self, request: FetchRequest, timeout_s: float) -> Fetched | None:
        """Block on the wake lists of the queues, then fetch; None after the time-out."""

    def renew(self, tokens: dict[str, list[int]], lease_ms: int) -> list[int]:
        """Extend grants, by queue. Returns the tokens that are lost."""

    def reap(self, queue: str, worker: str) -> int:
        """Return expired leases to ready, or bury those over the cap. Bounded; returns how many."""

    def unpark(self, queue: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""

    def deliver(self, parts: Sequence[Part]) -> None:
        """Give parts to their continuations outside of a commit, each whole; safe to repeat."""

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """Look after continuations that were last looked at so long ago.

        Members that are nowhere any more, nor will be sent, count as lost, which is a failure; what
        was not released to the end is. Bounded; returns how many were released or failed.
        """

    def has_limits(self) -> bool:
        """Whether anybody has declared or set limits of tasks."""

    def sweep_limits(self, queue: str) -> int:
        """Free slots that nobody holds any more, and try what waits for a limit that has room.

        Returns how many messages let go of slots.
        """

    def waiting(self, continuation_ids: Sequence[str]) -> list[Waiting | None]:
        """Return continuations as they are, None for one that is gone: released, or unknown."""

    def stage(self, message_id: str) -> Stage:
        """Where the message is."""

    def check(self) -> BrokerHealth:
        """Ask the broker whether it is safe to use."""

    def close(self) -> None:
        """Close the connections."""
