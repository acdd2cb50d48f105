"""A broker in the memory of one process: for tests, and for programs that are one process.

A real implementation of `windlass.brokers.base.Broker`: priorities, schedules, leases with fencing
tokens, hand-backs, crash counts, dead letters, parking, revokes. What it lacks is other processes
(Capability.PROCESSES), so a worker on it is one of the same process, with the pool solo; see
`windlass.contrib.testing.worker`.
Next in the walk: `windlass.brokers.memory_store`.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from windlass.brokers.base import (
    Answers,
    BrokerHealth,
    Capability,
    ControlMessage,
    Fetched,
    FetchRequest,
    Settlement,
    StoredResult,
)
from windlass.brokers.memory_store import MemoryStore
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.unique import Claimed, ReplacedResult, Swept, Tails, no_result
from windlass.continuations import Continuation, Part, Waiting
from windlass.errors import OperationalError
from windlass.messages import Outgoing
from windlass.states import Stage

#: Stores by (address, keyspace); one lives as long as a broker that uses it.
_stores: weakref.WeakValueDictionary[tuple[str, str], MemoryStore] = weakref.WeakValueDictionary()


def _no_result(_id: str) -> StoredResult | None:
    return None


def shared_store(url: str, keyspace: str) -> MemoryStore:
    """Return the store that all brokers of this process with this address share."""
    store = _stores.get((url, keyspace))
    if store is None:
        store = _stores.setdefault((url, keyspace), MemoryStore())
    return store


class _MemoryAnswers:
    """Implements `windlass.brokers.base.Answers`."""

    def __init__(self, store: MemoryStore, name: str) -> None:
        self._store = store
        self._name = name
        self._box: deque[bytes] = deque()
        with store.changed:
            store.answers[name] = self._box

    def next_payload(self, timeout_s: float) -> bytes | None:
        with self._store.changed:
            self._store.changed.wait_for(lambda: self._box, timeout_s)
            return self._box.popleft() if self._box else None

    def close(self) -> None:
        with self._store.changed:
            self._store.answers.pop(self._name, None)


class MemoryBroker:
    """Implements `windlass.brokers.base.Broker`. Thread-safe; several may share a store.

    Args:
        store: What is shared; a new one by default.
        max_deliveries: The cap where a queue record names none.
        lost_result: Builds the outcome of a message that dies because its worker was lost.
    """

    capabilities = frozenset(Capability) - {Capability.PROCESSES}

    def __init__(
        self,
        store: MemoryStore | None = None,
        *,
        max_deliveries: int = 3,
        lost_result: Callable[[str], StoredResult | None] = _no_result,
    ) -> None:
        self.store = store or MemoryStore()
        self.checkpoints = self.store.checkpoints
        self._max_deliveries = max_deliveries
        self._lost_result = lost_result
        self._interrupts = 0
        self._control_at: int | None = None
        self._turn = -1

    # -- sending

    def enqueue(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        continuations: Sequence[Continuation] = (),
    ) -> list[bool]:
        """Store messages; an id that is already there is left as it is.

        Args:
            messages: Any number.
            retry: Means nothing here: it cannot fail.
            continuations: Stored before the first message.
        """
        return self.store.enqueue(messages, continuations)

    async def aenqueue(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        continuations: Sequence[Continuation] = (),
    ) -> list[bool]:
        """As `enqueue`, which does not block."""
        return self.store.enqueue(messages, continuations)

    def enqueue_unique(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        *,
        result_for: ReplacedResult = no_result,
        tails: Tails = None,
    ) -> list[Claimed]:
        """Store messages with locks, each unless another one holds its lock; see `Broker`."""
        with self.store.changed:
            answers = self.store.locks.claim(messages, result_for, tails)
            self.store.changed.notify_all()
        return answers

    async def aenqueue_unique(
        self,
        messages: Sequence[Outgoing],
        retry: PublishRetry | None = None,
        *,
        result_for: ReplacedResult = no_result,
        tails: Tails = None,
    ) -> list[Claimed]:
        """As `enqueue_unique`, which does not block."""
        return self.enqueue_unique(messages, retry, result_for=result_for, tails=tails)

    def sweep_unique(self, cursor: str = "0") -> Swept:
        """Drop locks that hold nothing any more."""
        with self.store.changed:
            return self.store.locks.sweep()

    # -- working

    def exchange(
        self, settlements: Sequence[Settlement], request: FetchRequest | None
    ) -> tuple[list[str], Fetched | None]:
        """Settle what is finished and fetch what is next."""
        stale = self.store.settle(settlements, self._max_deliveries) if settlements else []
        return stale, None if request is None else self.store.fetch(self._turned(request))

    def begin_step(self, settlements: Sequence[Settlement], request: FetchRequest) -> None:
        """Nothing is sent anywhere: `exchange` takes no time."""

    def wait(self, request: FetchRequest, timeout_s: float) -> Fetched | None:
        """Block until the queues have something, then fetch, also after the time-out.

        Raises:
            OperationalError: `interrupt` or `close` was called meanwhile.
        """
        request, deadline = self._turned(request), monotonic() + timeout_s
        with self.store.changed:
            # What came since the worker's last look wakes it too, as with a list of wake tokens.
            before, wakes = self._interrupts, self.store.seen.get(request.worker_id)
            while True:
                fetched = self.store.fetch(request)
                left_s = deadline - monotonic()
                has_news = fetched.deliveries or fetched.expired_leases or fetched.cordoned
                if wakes is None:
                    wakes = self.store.seen[request.worker_id]
                if has_news or left_s <= 0 or self.store.seen[request.worker_id] != wakes:
                    return fetched
                if fetched.next_due_ms:
                    due_s = (fetched.next_due_ms - fetched.now_ms) / 1000
                    left_s = min(left_s, max(due_s, 0.001))
                self._wait(left_s, before)

    def _wait(self, timeout_s: float, before: int) -> None:
        self.store.changed.wait(timeout_s)
        if self._interrupts != before:
            raise OperationalError("The wait on the in-memory broker was interrupted.")

    def _turned(self, request: FetchRequest) -> FetchRequest:
        """Let another queue be first each time, unless they are to be served strictly."""
        queues = request.queues
        if request.strict or len(queues) < 2:
            return request
        self._turn = (self._turn + 1) % len(queues)
        turned = queues[self._turn :] + queues[: self._turn]
        return msgspec.structs.replace(request, queues=turned)

    def renew(self, tokens: Mapping[str, Sequence[int]], lease_ms: int) -> list[int]:
        """Extend grants, by queue. Returns the tokens that are lost."""
        return self.store.renew({name: list(owned) for name, owned in tokens.items()}, lease_ms)

    def reap(self, queue: str, worker: str) -> int:
        """Return expired leases to ready, or bury those at the cap. Returns how many moved."""
        return self.store.reap(queue, worker, self._max_deliveries, self._lost_result)

    def unpark(self, queue: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""
        return self.store.unpark(queue, tasks)

    def set_state(self, message_id: str, queue: str, token: int, result: StoredResult) -> bool:
        """Store a state that does not end the message; False when the lease is lost."""
        return self.store.set_state(message_id, queue, token, result)

    # -- by id, by queue

    def revoke(
        self,
        ids: Sequence[str],
        *,
        result_for: Callable[[str], StoredResult | None] = _no_result,
        terminate: bool = False,
        signal: str = "SIGTERM",
    ) -> dict[str, Stage]:
        """Revoke by id, with or without a worker. Returns where each one was."""
        return self.store.revoke(ids, result_for, signal if terminate else "")

    def revoke_stamps(self, headers: Mapping[str, Any], signal: str = "") -> None:
        """Revoke all that has one of these stamps, now or within a day; a signal ends runs."""
        self.store.revoke_stamps(headers, signal)

    def revoked(self, ids: Sequence[str]) -> dict[str, str]:
        """Which of the ids are marked as revoked -> the signal that ends a run, '' for none."""
        with self.store.changed:
            marks = self.store.tombstones
            return {id_: marks[id_][1] for id_ in ids if id_ in marks}

    def control_messages(
        self, timeout_s: float, on_listening: Callable[[], object] = lambda: None
    ) -> Iterator[ControlMessage]:
        """Yield hints for workers until none has come for so long. The first call subscribes.

        What is sent after `on_listening` was called is yielded.

        Raises:
            OperationalError: `interrupt` or `close` was called meanwhile.
        """
        store = self.store
        with store.changed:
            before = self._interrupts
            if self._control_at is None:
                self._control_at = store.control_count
            store.listening.add(id(self))
        on_listening()
        deadline = monotonic() + timeout_s
        while True:
            with store.changed:
                while store.control_count == self._control_at:
                    left_s = deadline - monotonic()
                    if left_s <= 0:
                        return
                    self._wait(left_s, before)
                # What was dropped because nobody read it for long is missed.
                unread = min(store.control_count - self._control_at, len(store.control))
                messages = list(store.control)[len(store.control) - unread :]
                self._control_at = store.control_count
            yield from messages
            deadline = monotonic() + timeout_s

    def call_workers(self, message: ControlMessage) -> int:
        """Send a hint to workers at large. Returns how many listen."""
        return self.store.tell(message)

    def answers(self, name: str) -> Answers:
        """Listen for what workers answer under this name."""
        return _MemoryAnswers(self.store, name)

    def answer_call(self, name: str, payload: bytes) -> None:
        """Answer whoever listens under this name."""
        with self.store.changed:
            box = self.store.answers.get(name)
            if box is not None:
                box.append(payload)
                self.store.changed.notify_all()

    def deliver(self, parts: Sequence[Part]) -> None:
        """Give parts to their continuations outside of a commit; safe to repeat."""
        with self.store.changed:
            for part in parts:
                self.store.continuations.give(part)
            self.store.changed.notify_all()

    def has_limits(self) -> bool:
        """Whether anybody has declared or set limits of tasks."""
        return bool(self.store.limits.given)

    def sweep_limits(self, queue: str) -> int:
        """Put limits of a queue right after an accident; returns how many slots' holders let go."""
        with self.store.changed:
            count = self.store.limits.sweep(queue)
            self.store.changed.notify_all()
        return count

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """Look after continuations that were last looked at so long ago; returns how many ended."""
        with self.store.changed:
            ended = self.store.continuations.sweep(older_than_ms, limit)
            self.store.changed.notify_all()
        return ended

    def waiting(self, continuation_ids: Sequence[str]) -> list[Waiting | None]:
        """Return continuations as they are, None for one that is gone."""
        with self.store.changed:
            return [self.store.continuations.waiting(id_) for id_ in continuation_ids]

    def stage(self, message_id: str) -> Stage:
        """Where the message is, or DONE while its outcome is kept."""
        return self.store.stage(message_id)

    def purge(self, queue: str) -> int:
        """Delete what waits in the queue: ready, scheduled, parked. Returns how many."""
        return self.store.purge(queue)

    def ping(self) -> None:
        """Do nothing: it is always there."""

    def check(self) -> BrokerHealth:
        """Say what is known: nothing, and no warning."""
        return BrokerHealth(version=None, role=None, maxmemory_policy=None, appendonly=None)

    def end_wait(self) -> None:
        """Nothing: a `wait` sees by itself what has changed for it."""

    def interrupt(self) -> None:
        """End `wait` and `control_messages` of other threads: they fail with OperationalError."""
        with self.store.changed:
            self._interrupts += 1
            self.store.changed.notify_all()

    def close(self) -> None:
        """End waits. The store lives on while another broker uses it."""
        self.interrupt()
        with self.store.changed:
            self.store.listening.discard(id(self))

    async def aclose(self) -> None:
        """Do nothing: there is no connection."""
