"""The part of the in-memory broker that keeps the locks of unique messages.

Not locked: `windlass.brokers.memory_store` owns the lock. The twin of `lua/enqueue_unique.lua` (one
conformance suite runs on both: tests/conformance/test_unique.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from windlass.brokers.memory_queue import Stored, stored
from windlass.brokers.unique import Claimed, ReplacedResult, Swept, Tails
from windlass.continuations import REVOKED
from windlass.messages import Outgoing, Unique
from windlass.states import Stage

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

_MERGING = ("debounce", "throttle")


class Lock(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """Who holds a key.

    Attributes:
        mode: As `Unique.until`.
        until_ms: End of a period or a throttle.
        first_ms: The first call of a debounce.
        at_ms: When the holder was stored.
        id: The holder.
    """

    mode: str
    until_ms: int
    first_ms: int
    at_ms: int
    id: str


class MemoryLocks:
    """The locks of one store.

    Attributes:
        held: By key; one whose message is not where its mode says holds nothing.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.held: dict[str, Lock] = {}

    def claim(
        self, messages: Sequence[Outgoing], result_for: ReplacedResult, tails: Tails
    ) -> list[Claimed]:
        """See `windlass.brokers.base.Broker.enqueue_unique`."""
        return [
            self._claim(index, message, message.unique, result_for, tails)
            for index, message in enumerate(messages)
            if message.unique is not None
        ]

    def sweep(self) -> Swept:
        """Drop what holds nothing any more."""
        now_ms, messages = self._store.now_ms, self._store.messages
        over = [
            key
            for key, lock in self.held.items()
            if lock.until_ms <= now_ms and (lock.mode == "period" or lock.id not in messages)
        ]
        seen = len(self.held)
        for key in over:
            del self.held[key]
        return Swept("0", seen, len(over))

    def _claim(
        self,
        index: int,
        message: Outgoing,
        unique: Unique,
        result_for: ReplacedResult,
        tails: Tails,
    ) -> Claimed:
        store, lock = self._store, self.held.get(unique.key)
        if message.id in store.messages or store.results.has_ended(message.id):
            return Claimed(message.id)
        if message.once and lock is not None and lock.id == message.id:
            return Claimed(message.id)
        state = None if lock is None else self._state(lock)
        if unique.until in _MERGING:
            return self._merge(index, message, unique, lock, state, tails)
        if lock is not None and self._holds(lock, state):
            if unique.on_duplicate != "replace" or state is not Stage.QUEUED:
                return Claimed(lock.id, is_held=True, is_running=state is Stage.LEASED)
            self._replace(lock.id, result_for)
        until_ms = store.now_ms + unique.period_ms if unique.until == "period" else 0
        return self._stored(message, unique, until_ms=until_ms)

    def _stored(
        self, message: Outgoing, unique: Unique, *, until_ms: int = 0, first_ms: int = 0
    ) -> Claimed:
        self._store.add(message)
        self._keep(unique, message.id, until_ms, first_ms)
        return Claimed(message.id, is_new=True)

    def _keep(self, unique: Unique, id_: str, until_ms: int, first_ms: int) -> None:
        self.held[unique.key] = Lock(
            mode=unique.until,
            until_ms=until_ms,
            first_ms=first_ms,
            # As it was stored: the clock may have gone on since.
            at_ms=_stored_ms(self._store.messages[id_]),
            id=id_,
        )

    # -- who holds

    def _state(self, lock: Lock) -> Stage | None:
        """Where the holder is: LEASED, QUEUED wherever it waits, None if it will not run."""
        message = self._store.messages.get(lock.id)
        stage = None if message is None else self._store.stage(lock.id)
        if message is None or stage in (Stage.DEAD, Stage.LEASED):
            return Stage.LEASED if stage is Stage.LEASED else None
        expires_ms = int.from_bytes(message.raw[14:20], "big")
        return None if 0 < expires_ms <= self._store.now_ms else Stage.QUEUED

    def _is_new(self, lock: Lock, state: Stage | None) -> bool:
        """Whether the holder waits as it was stored: it has never been started."""
        message = self._store.messages.get(lock.id)
        if message is None or state is not Stage.QUEUED:
            return False
        return _stored_ms(message) == lock.at_ms and not (message.deliveries or message.flags)

    def _holds(self, lock: Lock, state: Stage | None) -> bool:
        if lock.mode == "period":
            return lock.until_ms > self._store.now_ms
        if lock.mode == "done":
            return state is not None
        if lock.mode == "queued":
            return state is Stage.QUEUED
        return self._is_new(lock, state)

    # -- taking its place

    def _replace(self, holder: str, result_for: ReplacedResult) -> None:
        store = self._store
        message = store.messages.pop(holder)
        store.queue(message.queue).remove_waiting(message)
        store.store(holder, result_for(holder))
        store.continuations.ended_without_worker(message, REVOKED)

    def _merge(
        self,
        index: int,
        message: Outgoing,
        unique: Unique,
        lock: Lock | None,
        state: Stage | None,
        tails: Tails,
    ) -> Claimed:
        now_ms = self._store.now_ms
        if lock is not None and self._is_new(lock, state):
            holder = self._store.messages[lock.id]
            if tails is not None:
                message = msgspec.structs.replace(message, tail=tails(index, lock.id))
            if self._merged(holder, message, unique, lock):
                return Claimed(lock.id, is_merged=True)
        times = msgspec.structs.replace(message, delay_ms=None)
        if unique.until == "debounce":
            times.eta_ms = _debounced(unique, now_ms, now_ms)
            return self._stored(times, unique, first_ms=now_ms)
        slot_ms = max(now_ms, lock.until_ms if lock and lock.mode == "throttle" else 0)
        times.eta_ms = slot_ms
        return self._stored(times, unique, until_ms=slot_ms + unique.period_ms)

    def _merged(self, holder: Stored, message: Outgoing, unique: Unique, lock: Lock) -> bool:
        """Give the holder what the message says; False where it cannot be."""
        store = self._store
        queue, now_ms = store.queue(holder.queue), store.now_ms
        stage, first_ms = store.stage(holder.id), lock.first_ms or now_ms
        due_ms = int.from_bytes(holder.raw[8:14], "big")
        if stage is Stage.SCHEDULED:
            if unique.until == "debounce" and due_ms > now_ms:
                due_ms = _debounced(unique, now_ms, first_ms)
            queue.remove_waiting(holder)
            holder.queue, holder.priority = message.queue, message.priority
        elif holder.queue != message.queue:
            return False
        elif stage is Stage.PARKED:
            holder.priority = message.priority
        elif holder.priority != message.priority:
            return False
        placed = msgspec.structs.replace(message, delay_ms=None, eta_ms=due_ms or None)
        holder.raw = stored(placed, now_ms, 0)[0].raw
        if stage is Stage.SCHEDULED:
            store.queue(holder.queue).place(holder, due_ms, now_ms)
            store.names.add(holder.queue)
        self._keep(unique, holder.id, lock.until_ms, first_ms)
        return True


def _stored_ms(message: Stored) -> int:
    return int.from_bytes(message.raw[2:8], "big")


def _debounced(unique: Unique, now_ms: int, first_ms: int) -> int:
    latest_ms = first_ms + unique.max_wait_ms if unique.max_wait_ms else now_ms + unique.period_ms
    return min(now_ms + unique.period_ms, latest_ms)
