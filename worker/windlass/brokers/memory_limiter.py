"""Limits as one fetch of the in-memory broker sees and changes them.

The twin of `redis_store/lua/lib/limits.lua`, which says what gates, lines and turns are.
Not locked: `windlass.brokers.memory_store` owns the lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from windlass.brokers.memory_limits import Spec, task_at
from windlass.brokers.memory_queue import MemoryQueue
from windlass.errors import DecodeError
from windlass.messages import key_of, open_envelope
from windlass.rate_limits import Pace

if TYPE_CHECKING:
    from windlass.brokers.memory_store import MemoryStore

#: After so long a message is tried again for which there is a slot, but no lane to use it at once.
AGAIN_MS = 20
_ORDER = 24
_MISSES = 500
_GATES = 100


class Gate:
    """What has room or has not: a task's rate, its runs, or those of one key.

    Attributes:
        may: How many this fetch may take.
        room: How many there are.
        taken: How many it has taken.
    """

    def __init__(self, name: str, room: int, may: int, pace: Pace | None, start: float) -> None:
        self.name = name
        self.room = room
        self.may = may
        self.taken = 0
        self.pace = pace
        self.start = start
        self.heads: dict[str, str | None] = {}

    @classmethod
    def of_rate(cls, name: str, rate: str, kept: float, now_ms: int) -> Gate:
        """Return the gate of a rate."""
        pace = Pace.of(rate)
        count, start = pace.tokens(kept, now_ms)
        return cls(name, count, count, pace, start)

    @classmethod
    def of_slots(cls, name: str, room: int, idle: int) -> Gate:
        """Return the gate of slots; of scarce ones no more are taken than can begin at once."""
        share = max(idle, room // 2 + min(idle, 0))
        return cls(name, room, min(room, share), None, 0.0)

    @property
    def is_shut(self) -> bool:
        """Whether this fetch may take no more."""
        return self.taken >= self.may

    def kept(self) -> float:
        """Return the time from which the next token is counted."""
        return self.start + self.taken * self.pace.spacing_ms if self.pace else 0.0

    def again_ms(self, now_ms: int) -> float:
        """Return when it may be tried again; inf: when a slot is freed."""
        if not self.is_shut:
            return 0
        if self.pace is not None:
            return self.pace.next_ms(self.kept())
        if self.taken >= self.room:
            return math.inf
        return 0 if self.taken else now_ms + AGAIN_MS


class Limiter:
    """One fetch."""

    def __init__(self, store: MemoryStore, idle: int, spin: int) -> None:
        self._store = store
        self._limits = store.limits
        self._now_ms = store.now_ms
        self._idle = idle
        self._spin = spin
        self._known: dict[str, Gate] = {}
        self._was: dict[str, str] = {}
        self._slots: dict[str, tuple[str, ...]] = {}
        self._touched: dict[str, set[str]] = {}
        self._tasks: dict[str, list[str]] = {}
        self._shut: dict[tuple[str, str], Gate] = {}
        self._has_more: dict[str, bool] = {}

    def _names(self, task: str, key: str, spec: Spec) -> list[str]:
        names = [f"k{key}\t{task}"] if spec.get("per_key") and key else []
        names += [f"c{task}"] if spec.get("max") else []
        return names + ([f"r{task}"] if spec.get("rate") else [])

    def _gate(self, name: str) -> Gate:
        gate = self._known.get(name)
        if gate is None:
            limits = self._limits
            if name[0] == "r":
                rate = limits.spec(name[1:])["rate"]
                gate = Gate.of_rate(name, rate, limits.tokens_from.get(name, 0), self._now_ms)
            else:
                room = (limits.cap(name) or 0) - limits.used.get(name, 0)
                gate = Gate.of_slots(name, room, self._idle)
            self._known[name] = gate
        return gate

    def _is_behind(self, queue: MemoryQueue, gate: Gate, order: str) -> bool:
        if queue.name not in gate.heads:
            head = queue.lines.head(gate.name)
            gate.heads[queue.name] = head[0] if head else None
        first = gate.heads[queue.name]
        return first is not None and first <= order

    def _take_all(self, queue: MemoryQueue, names: Iterable[str], order: str | None) -> Gate | None:
        """Return the first gate without room; if there is none, all are taken."""
        gates = [self._gate(name) for name in names]
        for gate in gates:
            if gate.is_shut or (order is not None and self._is_behind(queue, gate, order)):
                return gate
        for gate in gates:
            gate.taken += 1
        return None

    def _hold(self, id_: str, names: Iterable[str]) -> None:
        slots = tuple(name for name in names if name[0] != "r")
        if slots:
            self._slots[id_] = slots

    def may_go(self, queue: MemoryQueue, id_: str) -> bool:
        """Whether a message that was ready may be leased; else it is set aside."""
        raw = self._store.messages[id_].raw
        head = _head(raw, self._now_ms)
        spec = {} if head is None else self._limits.spec(head[0])
        if head is None or not spec or (spec.get("keyed") and head[1] is None):
            return True
        task, base, key = head[0], head[2], head[1] or ""
        for gate in self._limits.let_go((id_,)):  # of a run that was lost
            if gate in self._known:
                taken, self._known[gate] = self._known.pop(gate).taken, self._gate_anew(gate)
                self._known[gate].taken = taken
        order = self._was.get(id_, base)
        if spec.get("fair"):
            line = f"k{key}\t{task}"
            place = queue.lines.add(id_, line, order, _ORDER)
            self._meet(queue, task)
            if line not in queue.lines.retry:
                self._give_turn(queue, task, line, place)
            return False
        names = self._names(task, key, spec)
        shut = self._take_all(queue, names, None if id_ in self._was else order)
        if shut is None:
            self._hold(id_, names)
            return True
        queue.lines.add(id_, shut.name, order, _ORDER)
        self._touched[queue.name].add(shut.name)
        return False

    def _gate_anew(self, name: str) -> Gate:
        self._known.pop(name, None)
        return self._gate(name)

    def _meet(self, queue: MemoryQueue, task: str) -> None:
        tasks = self._tasks[queue.name]
        queue.lines.turn.setdefault(task, 0)
        if task not in tasks and (queue.name, task) not in self._shut:
            tasks.append(task)

    def _give_turn(self, queue: MemoryQueue, task: str, line: str, order: str) -> None:
        level, turns = int(order[0]), queue.lines.turns
        turn = turns[line][1] if line in turns else queue.lines.turn[task] + 1
        at = (level, turn)
        turns[line] = min(turns.get(line, at), at)
        queue.lines.retry.setdefault(f"F{task}", 0)

    def reopen(self, queue: MemoryQueue, count: int) -> None:
        """Make ready, before all others, messages whose gates may be tried now."""
        lines, name = queue.lines, queue.name
        self._touched[name], self._tasks[name] = set(), []
        due = sorted((at, gate) for gate, at in lines.retry.items() if at <= self._now_ms)
        self._has_more[name] = len(due) >= _GATES
        for _, gate in due[:_GATES]:
            spec, task = self._limits.spec(task_at(gate)), task_at(gate)
            if gate[0] == "F":
                self._meet(queue, task)
            elif gate[0] == "k" and spec.get("fair"):
                del lines.retry[gate]
                self._limits.note_waiting(gate, name, waits=False)
                if (head := lines.head(gate)) is not None:
                    self._meet(queue, task)
                    self._give_turn(queue, task, gate, head[0])
            elif count > 0:
                may = min(count, self._may(gate, spec))
                left = lines.leave(gate, max(0, may))
                for order, id_ in reversed(left):
                    self._was[id_] = order
                    queue.ready[9 - int(order[0])].appendleft(id_)
                count -= len(left)
                self._touched[name].add(gate)
            else:
                self._has_more[name] = True

    def _may(self, gate: str, spec: Spec) -> int:
        is_set = spec.get({"r": "rate", "c": "max", "k": "per_key"}[gate[0]])
        return self._gate(gate).may if is_set else _MISSES * 2

    def share(self, queue: MemoryQueue, count: int) -> int:
        """Return how many of so many messages are for those who take turns."""
        tasks = self._tasks[queue.name]
        found = [
            first
            for task in tasks
            if self._is_open(queue, task) and (first := queue.lines.in_turn(task)[:1])
        ]
        if not found:
            return 0
        best = min(first[0][0] for first in found)
        level = next((9 - p for p in range(9, -1, -1) if queue.ready[p]), 10)
        if best > level:
            return 0
        return count if best < level else (count + self._spin % 2) // 2

    def serve(self, queue: MemoryQueue, count: int, add: Callable[[str], bool]) -> int:
        """Let keys take turns; `add` takes an id, and returns whether there is room for more."""
        tasks = self._tasks[queue.name]
        got = misses = 0
        at = self._spin % max(1, len(tasks))
        has_room = True
        while got < count and has_room and tasks and misses < _MISSES:
            at = at if at < len(tasks) else 0
            id_ = self._next(queue, tasks[at])
            if id_:
                has_room, got, at = add(id_), got + 1, at + 1
            elif id_ is None:
                del tasks[at]
            else:
                misses += 1
        return got

    def _is_open(self, queue: MemoryQueue, task: str) -> bool:
        """Whether all gates of a task whose keys take turns have room."""
        for name in self._names(task, "", self._limits.spec(task)):
            if self._gate(name).is_shut:
                self._shut[queue.name, task] = self._gate(name)
                return False
        return True

    def _next(self, queue: MemoryQueue, task: str) -> str | None:
        """Return the next id of a task; None: there is none to be had; "": not this turn."""
        spec, lines = self._limits.spec(task), queue.lines
        if not self._is_open(queue, task):
            return None
        first = lines.in_turn(task)[:1]
        if not first:
            return None
        _, turn, line = first[0]
        names = self._names(task, line[1:].partition("\t")[0], spec)
        if self._take_all(queue, names, None) is not None:
            del lines.turns[line]
            self._touched[queue.name].add(line)
            return ""
        left = lines.leave(line, 1)
        lines.turn[task] = max(lines.turn[task], turn)
        after = lines.head(line)
        if after is None:
            del lines.turns[line]
        else:
            lines.turns[line] = (int(after[0][0]), lines.turn[task] + 1)
        id_ = left[0][1] if left else ""
        if id_ and _head(self._store.messages[id_].raw, self._now_ms) is not None:
            self._hold(id_, names)
        else:
            for name in names:
                self._gate(name).taken -= 1
        return id_

    def has_slots(self, ids: Iterable[str]) -> bool:
        """Whether any of these messages holds a slot."""
        return any(id_ in self._slots for id_ in ids)

    def slots_of(self, id_: str) -> tuple[str, ...] | None:
        """Return the gates in which a message has a slot, None for none."""
        return self._slots.get(id_)

    def save(self) -> None:
        """Keep what was taken of all gates."""
        for name, gate in self._known.items():
            if gate.taken > 0 and gate.pace is not None:
                self._limits.tokens_from[name] = round(gate.kept(), 3)
            elif gate.taken > 0:
                self._limits.used[name] = self._limits.used.get(name, 0) + gate.taken

    def finish(self, queue: MemoryQueue) -> float | None:
        """Note when gates may be tried again. Returns the time of the first, None for none."""
        lines = queue.lines
        for name in self._touched[queue.name]:
            gate = self._known.get(name)
            if name in lines.lines:
                lines.retry[name] = 0 if gate is None else gate.again_ms(self._now_ms)
            else:
                lines.retry.pop(name, None)
            if name[0] != "r":
                self._limits.note_waiting(name, queue.name, waits=name in lines.lines)
        seen = {*self._tasks[queue.name], *(t for q, t in self._shut if q == queue.name)}
        for task in [t for t in lines.turn if t in seen or f"F{t}" in lines.retry]:
            gate = self._shut.get((queue.name, task))
            has_turns = bool(lines.in_turn(task))
            if gate is not None and gate.pace is None:
                self._limits.note_waiting(gate.name, queue.name, waits=has_turns)
            if not has_turns:
                lines.retry.pop(f"F{task}", None)
            elif task in seen:
                lines.retry[f"F{task}"] = 0 if gate is None else gate.again_ms(self._now_ms)
        if self._has_more[queue.name]:
            return self._now_ms
        later = [at for at in lines.retry.values() if self._now_ms < at < math.inf]
        return min(later, default=None)


def _head(raw: bytes, now_ms: int) -> tuple[str, str | None, str] | None:
    """Return task, key (None: not known) and order of a message; None: no limit bears on it."""
    try:
        envelope = open_envelope(raw)
    except DecodeError:
        return None
    if 0 < envelope.expires_ms <= now_ms:
        return None
    at_ms = max(envelope.enqueued_ms, envelope.due_ms)
    return envelope.task, key_of(raw), f"{9 - envelope.priority}{at_ms:012x}"
