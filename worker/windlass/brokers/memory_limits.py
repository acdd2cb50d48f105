"""Limits of the in-memory broker: who has slots, what waits at which gate.

The twin of `redis_store/lua/lib/slots.lua`; what one fetch does with it is in
`windlass.brokers.memory_limiter`. Not locked: `windlass.brokers.memory_store` owns the lock.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

#: What a task may use: rate, max, per_key, fair; see `windlass.control_plane.limits`.
Spec = Mapping[str, Any]


class Hold(NamedTuple):
    """The slots of one message."""

    token: int
    queue: str
    gates: tuple[str, ...]


class Lines:
    """What of one queue waits for a limit.

    Attributes:
        blocked: Id -> (gate, place in its line).
        lines: Gate -> (place, id), in order.
        retry: Gate -> when what waits there may be tried, ms; inf: when told.
        turns: Line of a key -> (level, turn); of tasks whose keys take turns.
        turn: Task -> the turn that was last served.
        tokens_from: Of the queue's own rate, ms.
        is_full: A fetch left messages because of max_concurrency.
    """

    def __init__(self) -> None:
        self.blocked: dict[str, tuple[str, str]] = {}
        self.lines: dict[str, list[tuple[str, str]]] = {}
        self.retry: dict[str, float] = {}
        self.turns: dict[str, tuple[int, int]] = {}
        self.turn: dict[str, int] = {}
        self.tokens_from = 0.0
        self.is_full = False
        self._blocks = 0

    def add(self, id_: str, gate: str, order: str, length: int) -> str:
        """Put a message into a line; one without a place of its own comes last of its time."""
        self._blocks += 1
        if len(order) < length:
            order = f"{order}{self._blocks:011x}"
        self.blocked[id_] = (gate, order)
        insort(self.lines.setdefault(gate, []), (order, id_))
        return order

    def head(self, gate: str) -> tuple[str, str] | None:
        """Return the first of a line."""
        line = self.lines.get(gate)
        return line[0] if line else None

    def leave(self, gate: str, count: int) -> list[tuple[str, str]]:
        """Take the first ones out of a line."""
        line = self.lines.get(gate, [])
        left, line[:count] = line[:count], []
        if not line:
            self.lines.pop(gate, None)
        for _, id_ in left:
            del self.blocked[id_]
        return left

    def remove(self, id_: str) -> bool:
        """Take a message out, wherever it waits; False if it does not."""
        place = self.blocked.pop(id_, None)
        if place is None:
            return False
        gate, order = place
        line = self.lines[gate]
        line.remove((order, id_))
        if not line:
            del self.lines[gate]
        return True

    def may_be_tried(self, now_ms: int, horizon_ms: int) -> tuple[int, int, int]:
        """Return how many messages may be tried now and how many soon, one a gate; and when next.

        Without a worker nobody tries them: this is what wakes one. The time is 0 for never.
        """
        held = len(self.blocked)
        if not held:
            return 0, 0, 0
        later = [at for at in self.retry.values() if now_ms < at < math.inf]
        now = min(held, sum(at <= now_ms for at in self.retry.values()))
        soon = min(held - now, sum(at <= now_ms + horizon_ms for at in later))
        return now, soon, math.ceil(min(later, default=0))

    def clear(self) -> None:
        """Forget all that waits; that lines are empty, a fetch finds out."""
        self.blocked.clear()
        self.lines.clear()

    def in_turn(self, task: str) -> list[tuple[int, int, str]]:
        """Return (level, turn, line) of a task's keys that wait for their turn, the next first."""
        found = ((*at, line) for line, at in self.turns.items() if task_at(line) == task)
        return sorted(found)


def task_at(gate: str) -> str:
    """Return the task of a gate."""
    return gate[1:].rpartition("\t")[2]


class MemoryLimits:
    """What all queues of a store share of limits.

    Attributes:
        given: d<task>: declared by workers; s<task>: set by hand.
        specs: Task -> what holds.
        holds: Id -> its slots.
        used: Gate -> slots in use.
        waiting: Gate -> queues in which messages wait for a slot of it.
        tokens_from: Gate of a rate -> time from which the next token is counted, ms.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.given: dict[str, Spec] = {}
        self.specs: dict[str, Spec] = {}
        self.holds: dict[str, Hold] = {}
        self.used: dict[str, int] = {}
        self.waiting: dict[str, set[str]] = {}
        self.tokens_from: dict[str, float] = {}

    @property
    def is_limited(self) -> bool:
        """Whether a fetch has to look at limits."""
        if self.specs or self.used or self.tokens_from:
            return True
        return any(queue.lines.retry for queue in self._store.queues.values())

    def give(self, kind: str, specs: Mapping[str, Spec]) -> None:
        """Write what is given for tasks; what waits is tried again."""
        for task, spec in specs.items():
            self.given.pop(kind + task, None)
            if spec:
                self.given[kind + task] = dict(spec)
            both = {**self.given.get(f"d{task}", {}), **self.given.get(f"s{task}", {})}
            holds = {name: value for name, value in both.items() if value is not None}
            self.specs.pop(task, None)
            if holds:
                self.specs[task] = holds
        for name in tuple(self._store.names):
            self.sweep(name)

    def spec(self, task: str) -> Spec:
        """Return what holds for a task."""
        return self.specs.get(task, {})

    def cap(self, gate: str) -> int | None:
        """Return how many slots a gate has, None where nothing limits it."""
        spec, kind = self.spec(task_at(gate)), gate[0]
        found = spec.get("per_key" if kind == "k" else "max")
        return None if found is None else int(found)

    def let_go(self, ids: Iterable[str], token: int | None = None) -> set[str]:
        """Free the slots that ids hold, under this token if one is named. Returns the gates."""
        freed: set[str] = set()
        for id_ in ids:
            hold = self.holds.get(id_)
            if hold is None or token not in (None, hold.token):
                continue
            del self.holds[id_]
            for gate in hold.gates:
                self.used[gate] -= 1
                if self.used[gate] <= 0:
                    del self.used[gate]
                freed.add(gate)
        return freed

    def ended(self, queue: str, ended: Iterable[tuple[str, int]]) -> None:
        """Free the slots of messages whose lease has ended, and let others be tried."""
        freed: set[str] = set()
        for id_, token in ended:
            freed |= self.let_go((id_,), token)
        self._open(freed)
        lines = self._store.queue(queue).lines
        if lines.is_full:
            lines.is_full = False
            self._store.queue(queue).wakes += 1

    def note_waiting(self, gate: str, queue: str, *, waits: bool) -> None:
        """Note that messages of a queue wait for a slot of a gate, or do not."""
        if waits:
            self.waiting.setdefault(gate, set()).add(queue)
        elif gate in self.waiting:
            self.waiting[gate].discard(queue)
            if not self.waiting[gate]:
                del self.waiting[gate]

    def _open(self, gates: set[str]) -> None:
        for gate in gates:
            for name in tuple(self.waiting.get(gate, ())):
                queue = self._store.queue(name)
                turns = f"F{gate[1:]}" if gate[0] == "c" else gate
                found = {gate, turns} & queue.lines.retry.keys()
                queue.lines.retry.update(dict.fromkeys(found, 0))
                if found:
                    queue.wakes += 1
                else:
                    self.note_waiting(gate, name, waits=False)

    def sweep(self, name: str) -> int:
        """Put limits right after an accident. Returns how many messages let go of slots."""
        queue = self._store.queue(name)
        lost = [
            id_
            for id_, hold in self.holds.items()
            if hold.queue == name and queue.leased.get(id_) != hold.token
        ]
        self._open(self.let_go(lost))
        for gate, at in queue.lines.retry.items():
            cap = self.cap(gate) if gate[0] in "ck" else None
            if at > self._store.now_ms and (cap is None or self.used.get(gate, 0) < cap):
                queue.lines.retry[gate] = 0
                queue.wakes += 1
        for gate in [g for g in self.tokens_from if not self.spec(task_at(g)).get("rate")]:
            del self.tokens_from[gate]
        return len(lost)
