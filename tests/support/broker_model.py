"""What a broker should do, in plain Python: the other half of the state machine test.

Written from the contracts in `windlass.brokers.base` and in the headers of the scripts, simple and
slow. `expected` gives the same picture as `look`, which reads the real keys.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass.brokers.base import (
    Again,
    Crashed,
    Done,
    Fetched,
    FetchRequest,
    HandBack,
    Park,
    Settlement,
)
from windlass.brokers.redis import RedisBroker
from windlass.messages import Outgoing
from windlass.redis_store.resp import packed

TOMBSTONE_MS = 24 * 3600 * 1000
CAP = 3


@dataclass
class Message:
    queue: str
    priority: int


@dataclass
class Grant:
    queue: str
    deadline: int
    owned: list[str]


@dataclass
class Queue:
    ready: dict[int, list[str]] = field(default_factory=lambda: {p: [] for p in range(10)})
    scheduled: dict[str, int] = field(default_factory=dict)
    parked: dict[str, str] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    paused: bool = False
    cap: int | None = None
    parks: int = 0
    enqueued: int = 0
    completed: int = 0


class Model:
    """One keyspace."""

    def __init__(self, now: int) -> None:
        self.now = now
        self.messages: dict[str, Message] = {}
        self.queues: defaultdict[str, Queue] = defaultdict(Queue)
        self.grants: dict[int, Grant] = {}
        self.attempts: dict[str, tuple[int, int]] = {}
        self.generations: dict[str, int] = {}
        self.condemned: set[str] = set()
        self.tombstones: dict[str, int] = {}
        self.cordons: dict[str, int] = {}
        self.stored: set[str] = set()

    # -- sending -----------------------------------------------------------------------------------

    def enqueue(self, message: Outgoing) -> bool:
        if message.id in self.messages:
            return False
        self.messages[message.id] = Message(message.queue, message.priority)
        self.queues[message.queue].enqueued += 1
        self._place(message)
        return True

    def _place(self, message: Outgoing) -> None:
        due = message.eta_ms or 0
        if message.delay_ms is not None:
            due = self.now + message.delay_ms
        queue = self.queues[message.queue]
        if due <= self.now:
            queue.ready[message.priority].append(message.id)
        else:
            queue.scheduled[message.id] = due

    # -- settling ----------------------------------------------------------------------------------

    def token_of(self, id_: str) -> int | None:
        return next((token for token, grant in self.grants.items() if id_ in grant.owned), None)

    def _disown(self, id_: str) -> None:
        for token, grant in list(self.grants.items()):
            if id_ in grant.owned:
                grant.owned.remove(id_)
                if not grant.owned:
                    del self.grants[token]

    def settle(self, settlements: Sequence[Settlement]) -> list[str]:
        """Settle in the order in which the broker does; returns the stale ids."""
        stale: list[str] = []
        done: defaultdict[str, list[Settlement]] = defaultdict(list)
        back: defaultdict[str, list[Settlement]] = defaultdict(list)
        for item in settlements:
            if isinstance(item, Done) and not item.followups:
                done[item.queue].append(item)
            elif isinstance(item, HandBack):
                back[item.queue].append(item)
            else:
                self._settle_one(item, stale)
        for ended in done.values():
            for item in ended:
                self._settle_one(item, stale)
        for returned in back.values():
            for item in reversed(returned):
                self._settle_one(item, stale)
        return sorted(stale)

    def _settle_one(self, item: Settlement, stale: list[str]) -> None:
        id_, queue = item.id, self.queues[item.queue]
        if self.token_of(id_) != item.token:
            stale.append(id_)
            return
        self._disown(id_)
        match item:
            case Done():
                self._forget(id_)
                queue.completed += 1
                for message in item.followups:
                    self.enqueue(message)
            case Again():
                self.attempts.pop(id_, None)
                self.messages[id_] = Message(item.message.queue, item.message.priority)
                self._place(item.message)
            case HandBack():
                self._to_front(id_)
                if item.counted:
                    self._count(id_, 0, 1)
            case _:
                if not self._set_aside(item, queue):
                    return
        if getattr(item, "result", None) is not None:
            self.stored.add(id_)

    def _set_aside(self, item: Settlement, queue: Queue) -> bool:
        """Crash, burial, parking; False when it is ready again, and so has no outcome."""
        if isinstance(item, Park):
            queue.parked[item.id] = item.task
            queue.parks += 1
            return True
        if isinstance(item, Crashed):
            self._count(item.id, 1, 0)
            if self.attempts[item.id][0] < self.cap(item.queue):
                self._to_front(item.id)
                return False
        queue.dead[item.id] = self.now
        return True

    def cap(self, queue: str) -> int:
        return self.queues[queue].cap or CAP

    def _count(self, id_: str, deliveries: int, handbacks: int) -> None:
        d, h = self.attempts.get(id_, (0, 0))
        self.attempts[id_] = (d + deliveries, h + handbacks)

    def _to_front(self, id_: str) -> None:
        message = self.messages[id_]
        self.queues[message.queue].ready[message.priority].insert(0, id_)

    def _forget(self, id_: str) -> None:
        self.messages.pop(id_, None)
        self.attempts.pop(id_, None)
        self.generations.pop(id_, None)

    # -- fetching ----------------------------------------------------------------------------------

    def fetch(self, request: FetchRequest, first: int) -> dict[str, list[str]]:
        """Lease; returns ids by queue. `first` is the queue whose turn it is."""
        if self.cordons.get(request.worker_id, 0) > self.now:
            return {}
        order = [*request.queues[first:], *request.queues[:first]]
        live = [name for name in order if not self.queues[name].paused]
        for name in live:
            self._promote(self.queues[name])
        taken: dict[str, list[str]] = {name: [] for name in live}
        share = request.want if request.strict else math.ceil(request.want / max(1, len(live)))
        for limit in (share, request.want):
            for name in live:
                room = min(limit, request.want - sum(map(len, taken.values())))
                taken[name] += self._pop(self.queues[name], room)
        return {name: ids for name, ids in taken.items() if ids}

    def _promote(self, queue: Queue) -> None:
        due = sorted(
            (at, f"{self.messages[id_].priority}{id_}", id_)
            for id_, at in queue.scheduled.items()
            if at <= self.now
        )
        for _, _, id_ in due:
            del queue.scheduled[id_]
            queue.ready[self.messages[id_].priority].append(id_)

    def _pop(self, queue: Queue, room: int) -> list[str]:
        got: list[str] = []
        for priority in range(9, -1, -1):
            ids = queue.ready[priority]
            while ids and len(got) < room:
                id_ = ids.pop(0)
                if id_ in self.condemned:
                    self.condemned.discard(id_)
                    self._forget(id_)
                else:
                    got.append(id_)
        return got

    def lease(self, fetched: Fetched, lease_ms: int) -> None:
        """Take over the tokens that the broker chose."""
        for item in fetched.deliveries:
            grant = self.grants.setdefault(item.token, Grant(item.queue, self.now + lease_ms, []))
            grant.owned.append(item.id)

    # -- chores ------------------------------------------------------------------------------------

    def reap(self, name: str) -> int:
        expired = sorted(
            (grant.deadline, str(token), token)
            for token, grant in self.grants.items()
            if grant.queue == name and grant.deadline <= self.now
        )
        moved = 0
        for _, _, token in reversed(expired):
            for id_ in reversed(list(self.grants[token].owned)):
                moved += 1
                self._disown(id_)
                self._count(id_, 1, 0)
                if self.attempts[id_][0] >= self.cap(name):
                    self.queues[name].dead[id_] = self.now
                else:
                    self._to_front(id_)
        return moved

    def unpark(self, name: str, tasks: Sequence[str]) -> list[str]:
        queue = self.queues[name]
        moved = [id_ for id_, task in queue.parked.items() if task in tasks]
        for id_ in moved:
            del queue.parked[id_]
        return moved

    def revoke(self, id_: str) -> str:
        message = self.messages.get(id_)
        self.tombstones = {i: until for i, until in self.tombstones.items() if until > self.now}
        if message is None:
            self.tombstones[id_] = self.now + TOMBSTONE_MS
            return "UNKNOWN"
        queue = self.queues[message.queue]
        if self.token_of(id_):
            self.tombstones[id_] = self.now + TOMBSTONE_MS
            return "LEASED"
        if id_ in queue.dead:
            return "DEAD"
        if id_ in self.condemned:
            return "DONE"
        self.stored.add(id_)
        for stage, place in (("SCHEDULED", queue.scheduled), ("PARKED", queue.parked)):
            if place.pop(id_, None) is not None:  # type: ignore[attr-defined]
                self._forget(id_)
                return stage
        self.condemned.add(id_)
        return "QUEUED"

    def purge(self, name: str) -> int:
        queue = self.queues[name]
        ready = [id_ for ids in queue.ready.values() for id_ in ids]
        gone = [*ready, *queue.scheduled, *queue.parked]
        counted = [id_ for id_ in gone if id_ not in self.condemned]
        for id_ in gone:
            self._forget(id_)
            self.condemned.discard(id_)
        queue.ready = {priority: [] for priority in range(10)}
        queue.scheduled.clear()
        queue.parked.clear()
        return len(counted)

    def replay(self, name: str, ids: Sequence[str]) -> int:
        queue, count = self.queues[name], 0
        for id_ in ids:
            if queue.dead.pop(id_, None) is not None:
                self.attempts.pop(id_, None)
                self.generations[id_] = self.generations.get(id_, 0) + 1
                self.tombstones.pop(id_, None)
                self.stored.discard(id_)
                queue.ready[self.messages[id_].priority].append(id_)
                count += 1
        return count

    def purge_dead(self, name: str, ids: Sequence[str]) -> int:
        gone = [id_ for id_ in ids if self.queues[name].dead.pop(id_, None) is not None]
        for id_ in gone:
            self._forget(id_)
        return len(gone)

    # -- the picture -------------------------------------------------------------------------------

    def expected(self, name: str) -> dict[str, Any]:
        queue = self.queues[name]
        grants = {token: g for token, g in self.grants.items() if g.queue == name}
        return {
            "ready": {p: ids for p, ids in queue.ready.items() if ids},
            "scheduled": queue.scheduled,
            "leased": {id_: token for token, g in grants.items() for id_ in g.owned},
            "leases": {token: g.deadline for token, g in grants.items()},
            "left": {token: len(g.owned) for token, g in grants.items()},
            "grants": set(grants),
            "parked": queue.parked,
            "dead": queue.dead,
            "obits": set(queue.dead),
            "condemned": {id_ for ids in queue.ready.values() for id_ in ids} & self.condemned,
        }

    def depth(self, name: str) -> dict[str, int]:
        queue = self.queues[name]
        ready = [id_ for ids in queue.ready.values() for id_ in ids]
        due = [at for at in queue.scheduled.values() if at <= self.now]
        later = [at for at in queue.scheduled.values() if at > self.now]
        grants = [grant for grant in self.grants.values() if grant.queue == name]
        expired = sum(len(grant.owned) for grant in grants if grant.deadline <= self.now)
        return {
            "open": len(set(ready) - self.condemned) + len(due) + expired,
            "parked": len(queue.parked),
            "scheduled": len(later),
            "next_due_ms": min(later, default=0),
            "leased": sum(len(grant.owned) for grant in grants) - expired,
            "dead": len(queue.dead),
            "enqueued": queue.enqueued,
            "completed": queue.completed,
            "paused": queue.paused,
        }

    def stage(self, id_: str) -> str:
        message = self.messages.get(id_)
        if message is None:
            return "DONE" if id_ in self.stored else "UNKNOWN"
        queue = self.queues[message.queue]
        if self.token_of(id_):
            return "LEASED"
        places = (("SCHEDULED", queue.scheduled), ("PARKED", queue.parked), ("DEAD", queue.dead))
        for stage, place in places:
            if id_ in place:
                return stage
        return "DONE" if id_ in self.condemned else "QUEUED"


def look(broker: RedisBroker, name: str) -> dict[str, Any]:
    """Read the same picture from the keys, in one trip."""
    q = broker.keys.queue(name)
    hashes = [packed("HGETALL", key) for key in (q.leased, q.left, q.grants, q.parked, q.obits)]
    zsets = [packed("ZRANGE", key, 0, -1, "WITHSCORES") for key in (q.scheduled, q.leases, q.dead)]
    lists = [packed("LRANGE", key, 0, -1) for key in q.ready]
    replies = broker.links.call([*hashes, *zsets, packed("SMEMBERS", q.condemned), *lists])
    leased, left, grants, parked, obits = map(_pairs, replies[:5])
    scheduled, leases, dead = map(_pairs, replies[5:8])
    ready = {
        priority: [id_.decode() for id_ in ids] for priority, ids in enumerate(replies[9:]) if ids
    }
    return {
        "ready": ready,
        "scheduled": {member[1:]: int(due) for member, due in scheduled.items()},
        "leased": {id_: int(token) for id_, token in leased.items()},
        "leases": {int(token): int(deadline) for token, deadline in leases.items()},
        "left": {int(token): int(count) for token, count in left.items()},
        "grants": {int(token) for token in grants},
        "parked": {id_: value.decode().partition(":")[2] for id_, value in parked.items()},
        "dead": {id_: int(died) for id_, died in dead.items()},
        "obits": set(obits),
        "condemned": {id_.decode() for id_ in replies[8]},
    }


def _pairs(flat: Sequence[bytes]) -> dict[str, bytes]:
    return {key.decode(): value for key, value in zip(flat[::2], flat[1::2], strict=True)}
