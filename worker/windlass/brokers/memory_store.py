"""What the in-memory brokers of one address share: messages, queues, tombstones, outcomes.

Each public method is one atomic move under the store's lock, with the semantics of the scripts of
`windlass.redis_store` (one conformance suite runs on both: tests/conformance/test_brokers.py).
Next in the walk: `windlass.brokers.memory`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from windlass.brokers import memory_deaths
from windlass.brokers.base import (
    TOMBSTONE_MS,
    Again,
    Bury,
    ControlMessage,
    Crashed,
    DeadEnd,
    Done,
    Fetched,
    FetchRequest,
    HandBack,
    Park,
    Settlement,
    StepDone,
    StoredResult,
)
from windlass.brokers.memory_attempts import carry_on, is_spared
from windlass.brokers.memory_checkpoints import MemoryCheckpoints
from windlass.brokers.memory_continuations import MemoryContinuations
from windlass.brokers.memory_leases import lease
from windlass.brokers.memory_limits import MemoryLimits
from windlass.brokers.memory_queue import MemoryQueue, Stored, stored
from windlass.brokers.memory_schedules import ScheduleTable
from windlass.brokers.memory_unique import MemoryLocks
from windlass.continuations import PURGED, REVOKED, Continuation
from windlass.messages import Outgoing, check_queue_name
from windlass.results.memory import MemoryResults
from windlass.stamp_marks import Mark, StampMarks, marks_of
from windlass.states import Stage

#: Messages in one fetch.
_MAX_FETCH = 1000
_CONTROL_KEPT = 1000


class MemoryStore:
    """The state. Its lock is `changed`, a condition that is notified at every move.

    Args:
        clock: The broker's clock, whole milliseconds since the epoch; the machine's by default.
    """

    def __init__(self, clock: Callable[[], int] | None = None) -> None:
        self._clock = clock or _machine_clock
        self._late_ms = 0 if clock else 1
        self.changed = threading.Condition(threading.RLock())
        self.results = MemoryResults(lambda: self.now_ms / 1000)
        self.messages: dict[str, Stored] = {}
        self.continuations = MemoryContinuations(self)
        self.locks = MemoryLocks(self)
        self.checkpoints = MemoryCheckpoints(self)
        self.queues: dict[str, MemoryQueue] = {}
        #: Queues that ever held a message, or whose record was written.
        self.names: set[str] = set()
        #: Id -> (until, ms; the signal that ends a run, "" for none).
        self.tombstones: dict[str, tuple[int, str]] = {}
        #: Revoked stamps -> until, ms; and when they were changed last.
        self.stamps: dict[Mark, int] = {}
        self.stamps_generation = 0
        #: Worker id -> until, ms.
        self.cordons: dict[str, int] = {}
        #: Worker id -> (until, ms; its status).
        self.workers: dict[str, tuple[int, Any]] = {}
        self.control: deque[ControlMessage] = deque(maxlen=_CONTROL_KEPT)
        self.control_count = 0
        #: Those who listen for control messages, and the answers to calls by the caller's name.
        self.listening: set[int] = set()
        self.answers: dict[str, deque[bytes]] = {}
        #: Worker id -> `wakes` of its queues at its last look.
        self.seen: dict[str, int] = {}
        self.schedules = ScheduleTable()
        self.limits = MemoryLimits(self)
        #: Last fencing token.
        self.token = 0

    @property
    def now_ms(self) -> int:
        """The broker's clock."""
        return self._clock()

    def queue(self, name: str) -> MemoryQueue:
        """Return a queue; an unknown one is empty."""
        if name not in self.queues:
            self.queues[name] = MemoryQueue(check_queue_name(name))
        return self.queues[name]

    # -- sending

    def enqueue(
        self, messages: Sequence[Outgoing], continuations: Sequence[Continuation] = ()
    ) -> list[bool]:
        """Store continuations, then messages; returns for each whether it is new."""
        with self.changed:
            self.continuations.declare(continuations)
            fresh = [self.add(message) for message in messages]
            self.changed.notify_all()
        return fresh

    def add(self, message: Outgoing) -> bool:
        """Store one message, with the lock held; returns whether it is new."""
        if message.id in self.messages or (message.once and self.results.has_ended(message.id)):
            return False
        now_ms, queue = self.now_ms, self.queue(message.queue)
        new, due_ms = stored(message, now_ms, self._late_ms)
        self.messages[new.id] = new
        queue.place(new, due_ms, now_ms)
        queue.enqueued += 1
        self.names.add(queue.name)
        return True

    # -- settling

    def settle(self, settlements: Sequence[Settlement], max_deliveries: int) -> list[str]:
        """Settle; returns the ids whose token was stale."""
        stale = []
        with self.changed:
            backs = [item for item in settlements if isinstance(item, HandBack)]
            others = [item for item in settlements if not isinstance(item, HandBack)]
            # The last first: each goes to the front, so they end in the order given.
            for item in (*others, *reversed(backs)):
                queue = self.queue(item.queue)
                if queue.owns(item.id, item.token):
                    queue.unlease(item.id)
                    self._settle(queue, item, max_deliveries)
                else:
                    stale.append(item.id)
            for item in settlements:
                if item.token < 0:
                    self.limits.ended(item.queue, [(item.id, item.token)])
            self.changed.notify_all()
        return stale

    def _settle(self, queue: MemoryQueue, item: Settlement, max_deliveries: int) -> None:
        match item:
            case Done():
                self._end(queue, item)
            case Again():
                self._again(item)
            case HandBack():
                message = self.messages[item.id]
                message.handbacks += item.counted
                queue.to_front(message)
            case Crashed():
                self._crashed(queue, item, max_deliveries)
            case Bury():
                memory_deaths.bury(self, queue, item)
                self.store(item.id, item.result)
                self.continuations.give(item.part)
            case Park():
                queue.parked[item.id] = (self.now_ms, item.task)
                queue.parks += 1

    def _end(self, queue: MemoryQueue, item: Done) -> None:
        # Gone before the rest: a follow-up may take over its id (a task that replaces itself).
        if isinstance(item, DeadEnd):
            memory_deaths.bury(self, queue, item)
        else:
            del self.messages[item.id]
        step = item if isinstance(item, StepDone) else None
        if step is not None:
            self.continuations.declare(step.declares)
        for message in item.followups:
            self.add(message)
        self.store(item.id, item.result)
        if step is not None:
            self.continuations.step_ended(step)
        self.schedules.end_run(item, self.now_ms)
        queue.completed += 1
        queue.service_ms += item.duration_ms

    def _again(self, item: Again) -> None:
        message, due_ms = stored(item.message, self.now_ms, self._late_ms)
        message.id = item.id
        carry_on(self.messages[item.id], message, item, self.now_ms)
        self.messages[item.id] = message
        self.queue(message.queue).place(message, due_ms, self.now_ms)
        self.names.add(message.queue)
        self.store(item.id, item.result)

    def _crashed(self, queue: MemoryQueue, item: Crashed, max_deliveries: int) -> None:
        message = self.messages[item.id]
        if is_spared(message, item, self.cap(queue, max_deliveries), self.now_ms):
            queue.to_front(message)
            return
        queue.bury(item.id, "max_deliveries", item.reason, item.worker, self.now_ms)
        self.store(item.id, item.result)
        self.continuations.give(item.part)

    def cap(self, queue: MemoryQueue, max_deliveries: int) -> int:
        """Return after how many crashes a message is a dead letter."""
        return int(queue.record.get("max_deliveries", max_deliveries))

    def store(self, message_id: str, result: StoredResult | None) -> None:
        """Keep an outcome, and tell who waits for it."""
        if result is not None:
            self.results.store_raw(message_id, result.payload, result.ttl_ms)

    def set_state(self, message_id: str, queue: str, token: int, result: StoredResult) -> bool:
        """Store a state that does not end the message; False when the lease is lost."""
        with self.changed:
            if not self.queue(queue).owns(message_id, token):
                return False
            self.store(message_id, result)
            return True

    # -- fetching

    def fetch(self, request: FetchRequest) -> Fetched:
        """Lease up to `want` messages, from the queues in the order given."""
        with self.changed:
            now_ms = self.now_ms
            queues = [self.queue(name) for name in dict.fromkeys(request.queues)]
            self.seen[request.worker_id] = sum(queue.wakes for queue in queues)
            if self.cordons.get(request.worker_id, 0) > now_ms:
                return Fetched(now_ms=now_ms, deliveries=[], cordoned=True)
            live = [queue for queue in queues if not queue.is_paused]
            want = min(request.want, _MAX_FETCH)
            deliveries, retries = lease(self, live, want, request)
            times = [*retries, *(at for q in queues for at in q.soonest())]
            soonest = times if len(deliveries) < want else []
            return Fetched(
                now_ms=now_ms,
                deliveries=deliveries,
                next_due_ms=math.ceil(min(soonest, default=0)),
                expired_leases=tuple(q.name for q in queues if q.expired(now_ms)),
                parked={q.name: q.parks for q in queues if q.parked},
                paused=tuple(q.name for q in queues if q.is_paused),
                keeps={q.name: q.keeps for q in queues if q.keeps},
                stamps=self._news_of_stamps(request.stamps_seen),
            )

    def renew(self, tokens: dict[str, list[int]], lease_ms: int) -> list[int]:
        """Extend grants, by queue. Returns the tokens that are lost."""
        lost = []
        with self.changed:
            for name, owned in tokens.items():
                grants = self.queue(name).grants
                for token in owned:
                    if token in grants:
                        grants[token].deadline_ms = self.now_ms + lease_ms
                    else:
                        lost.append(token)
        return lost

    def reap(
        self,
        name: str,
        worker: str,
        max_deliveries: int,
        lost_result: Callable[[str], StoredResult | None],
    ) -> int:
        """Give back what expired grants still own, or bury what is at the cap."""
        with self.changed:
            queue = self.queue(name)
            cap = self.cap(queue, max_deliveries)
            moved = memory_deaths.reap(self, queue, worker, cap, lost_result)
            if moved:
                self.limits.sweep(name)
            self.changed.notify_all()
        return moved

    def unpark(self, name: str, tasks: Sequence[str]) -> int:
        """Make parked messages of these tasks ready again. Returns how many."""
        with self.changed:
            queue, known = self.queue(name), set(tasks)
            ids = [id_ for id_, (_, task) in queue.parked.items() if task in known]
            for id_ in ids:
                del queue.parked[id_]
                queue.to_back(self.messages[id_])
            self.changed.notify_all()
        return len(ids)

    # -- by id, by queue

    def tell(self, message: ControlMessage) -> int:
        """Say something to workers at large; returns how many listen."""
        with self.changed:
            self.control_count += 1
            self.control.append(message)
            self.changed.notify_all()
            return len(self.listening)

    def revoke(
        self, ids: Sequence[str], result_for: Callable[[str], StoredResult | None], signal: str
    ) -> dict[str, Stage]:
        """Take messages back, or mark those that a worker has or that are not there yet."""
        with self.changed:
            found = {id_: self._revoke(id_, result_for, signal) for id_ in dict.fromkeys(ids)}
            marked = [id_ for id_, at in found.items() if at in (Stage.LEASED, Stage.UNKNOWN)]
            if marked:
                self.tell(ControlMessage(kind="revoke", ids=tuple(marked), signal=signal))
            self.changed.notify_all()
        return found

    def revoke_stamps(self, headers: Mapping[str, Any], signal: str) -> None:
        """Mark stamps as revoked."""
        with self.changed:
            marks = marks_of(headers, signal)
            self.stamps.update(dict.fromkeys(marks, self.now_ms + TOMBSTONE_MS))
            self.stamps_generation += 1
            self.tell(ControlMessage(kind="revoke_stamps", arguments=dict(headers), signal=signal))

    def _news_of_stamps(self, seen: int) -> StampMarks | None:
        if self.stamps_generation == seen:
            return None
        self.stamps = {mark: at for mark, at in self.stamps.items() if at > self.now_ms}
        marks = [msgspec.structs.replace(m, until_ms=at) for m, at in self.stamps.items()]
        return StampMarks(self.stamps_generation, marks)

    def _revoke(
        self, id_: str, result_for: Callable[[str], StoredResult | None], signal: str
    ) -> Stage:
        now_ms, message = self.now_ms, self.messages.get(id_)
        self.forget_marks(now_ms)
        stage = self.stage(id_)
        if message is None or stage is Stage.LEASED:
            until_ms, earlier = self.tombstones.get(id_, (0, ""))
            self.tombstones[id_] = (max(until_ms, now_ms + TOMBSTONE_MS), signal or earlier)
            return Stage.UNKNOWN if message is None else Stage.LEASED
        if stage is Stage.DEAD:
            return stage
        self.queue(message.queue).remove_waiting(message)
        del self.messages[id_]
        self.store(id_, result_for(id_))
        self.continuations.ended_without_worker(message, REVOKED)
        return stage

    def forget_marks(self, now_ms: int) -> None:
        """Drop tombstones whose time is over."""
        for id_ in [id_ for id_, (until, _) in self.tombstones.items() if until <= now_ms]:
            del self.tombstones[id_]

    def stage(self, message_id: str) -> Stage:
        """Where the message is, or DONE while its outcome is kept."""
        with self.changed:
            message = self.messages.get(message_id)
            if message is None:
                kept = self.results.get_raw(message_id) is not None
                return Stage.DONE if kept else Stage.UNKNOWN
            queue = self.queue(message.queue)
            for place, stage in (
                (queue.leased, Stage.LEASED),
                (queue.parked, Stage.PARKED),
                (queue.lines.blocked, Stage.BLOCKED),
                (queue.dead, Stage.DEAD),
                (queue.ready[message.priority], Stage.QUEUED),
            ):
                if message_id in place:
                    return stage
            return Stage.SCHEDULED

    def purge(self, name: str) -> int:
        """Delete what waits in the queue. Returns how many."""
        with self.changed:
            queue = self.queue(name)
            ids = queue.waiting_ids()
            queue.drop_waiting()
            gone = [self.messages.pop(id_) for id_ in ids]
            for message in gone:
                self.continuations.ended_without_worker(message, PURGED)
            self.changed.notify_all()
        return len(ids)


def _machine_clock() -> int:
    return int(time.time() * 1000)
