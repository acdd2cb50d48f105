"""How `windlass.control_plane.limits` reads and writes what a broker keeps of limits.

Several small reads a question: this is for people, for a worker's start and for tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.errors import DecodeError
from windlass.messages import key_of, open_envelope
from windlass.rate_limits import Pace
from windlass.redis_store import limiting
from windlass.redis_store.connection import Links
from windlass.redis_store.resp import packed

Spec = Mapping[str, Any]


class Standing(NamedTuple):
    """Where a message is, as limits see it.

    Attributes:
        gate: At which it waits, "" if at none.
        ahead: Messages that wait there before it.
    """

    queue: str
    task: str
    key: str
    is_leased: bool
    gate: str = ""
    ahead: int = 0


class Reader(Protocol):
    """What there is to know; times are the broker's, milliseconds."""

    def given(self) -> dict[str, Spec]:
        """Return d<task> and s<task> -> what is declared, and what was set by hand."""

    def give(self, kind: str, specs: Mapping[str, Spec]) -> None:
        """Write what is given for tasks; what waits is tried again."""

    def spec(self, task: str) -> Spec:
        """Return what holds for a task."""

    def used(self, gate: str) -> int:
        """Return the slots in use."""

    def next_token(self, gate: str, rate: str | None) -> int | None:
        """Return when there is a token again, None if there is one or no rate."""

    def waiting_by_task(self) -> dict[str, int]:
        """Count what is blocked, by task."""

    def find(self, message_id: str) -> Standing | None:
        """Return where a message is, None if it is not there or cannot be read."""

    def record(self, queue: str) -> Spec:
        """Return the fields of the queue record that bear on what is handed out."""

    def leased(self, queue: str) -> int:
        """Return how many messages of the queue are leased."""

    def next_of_queue(self, queue: str, rate: str | None) -> int | None:
        """As `next_token`, of the queue itself."""


def reader_of(broker: RedisBroker | MemoryBroker) -> Reader:
    """Return the reader for a broker."""
    if isinstance(broker, MemoryBroker):
        return _MemoryReader(broker)
    return _RedisReader(broker)


def _task_at(gate: str) -> str:
    return gate[1:].rpartition("\t")[2]


class _RedisReader:
    """Implements `Reader`."""

    def __init__(self, broker: RedisBroker) -> None:
        self._broker = broker
        self._links: Links = broker.links
        self._keys = broker.keys

    def _ask(self, *words: Any) -> Any:
        return self._links.call([packed(*words)])[0]

    def _now_ms(self) -> int:
        if now := self._broker.commands.now:
            return int(now)
        seconds, micros = self._ask("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    def given(self) -> dict[str, Spec]:
        flat = self._ask("HGETALL", self._keys.limits_given)
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {name.decode(): msgspec.json.decode(text) for name, text in pairs}

    def give(self, kind: str, specs: Mapping[str, Spec]) -> None:
        if not specs:
            return
        changes = [
            (kind, task, msgspec.json.encode(spec) if spec else "") for task, spec in specs.items()
        ]
        self._links.call([limiting.give(self._keys, changes)])
        for queue in self._queues():
            self._broker.sweep_limits(queue)

    def _queues(self) -> list[str]:
        return [name.decode() for name in self._ask("SMEMBERS", self._keys.queues)]

    def spec(self, task: str) -> Spec:
        text = self._ask("HGET", self._keys.limits, task)
        found: Spec = msgspec.json.decode(text) if text else {}
        return found

    def used(self, gate: str) -> int:
        return int(self._ask("HGET", self._keys.gates, f"n{gate}") or 0)

    def next_token(self, gate: str, rate: str | None) -> int | None:
        return self._next(rate, self._ask("HGET", self._keys.gates, f"t{gate}"))

    def _next(self, rate: str | None, kept: bytes | None) -> int | None:
        if rate is None:
            return None
        pace = Pace.of(rate)
        count, start = pace.tokens(float(kept or 0), self._now_ms())
        return None if count else pace.next_ms(start)

    def waiting_by_task(self) -> dict[str, int]:
        counts: Counter[str] = Counter()
        for queue in self._queues():
            cursor = b"0"
            while True:
                call = ("HSCAN", self._keys.queue(queue).blocked, cursor, "COUNT", 1000)
                cursor, page = self._ask(*call)
                counts.update(_task_at(text.decode().partition("\n")[0]) for text in page[1::2])
                if cursor == b"0":
                    break
        return counts

    def find(self, message_id: str) -> Standing | None:
        raw = self._ask("HGET", self._keys.messages, message_id)
        if raw is None:
            return None
        try:
            envelope = open_envelope(raw)
        except DecodeError:
            return None
        q = self._keys.queue(envelope.queue)
        reads = [
            packed("HEXISTS", q.leased, message_id),
            packed("HGET", q.blocked, message_id),
            packed("SISMEMBER", q.condemned, message_id),
        ]
        is_leased, place, is_revoked = self._links.call(reads)
        if is_revoked:
            return None
        here = Standing(envelope.queue, envelope.task, key_of(raw) or "", bool(is_leased))
        if place is None:
            return here
        gate, _, order = place.decode().partition("\n")
        ahead = self._ask("ZLEXCOUNT", q.line, f"[{gate}\n", f"({gate}\n{order}\n{message_id}")
        return here._replace(gate=gate, ahead=ahead)

    def record(self, queue: str) -> Spec:
        names = ("paused", "max_concurrency", "rate_limit")
        paused, most, rate = self._ask("HMGET", self._keys.queue(queue).record, *names)
        return {
            "paused": paused == b"1",
            "max_concurrency": int(most) if most else None,
            "rate_limit": rate.decode() if rate else None,
        }

    def leased(self, queue: str) -> int:
        return int(self._ask("HLEN", self._keys.queue(queue).leased))

    def next_of_queue(self, queue: str, rate: str | None) -> int | None:
        return self._next(rate, self._ask("HGET", self._keys.queue(queue).stats, "tat"))


class _MemoryReader:
    """Implements `Reader`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._store = broker.store

    def given(self) -> dict[str, Spec]:
        with self._store.changed:
            return dict(self._store.limits.given)

    def give(self, kind: str, specs: Mapping[str, Spec]) -> None:
        with self._store.changed:
            self._store.limits.give(kind, specs)
            self._store.changed.notify_all()

    def spec(self, task: str) -> Spec:
        return self._store.limits.spec(task)

    def used(self, gate: str) -> int:
        return self._store.limits.used.get(gate, 0)

    def next_token(self, gate: str, rate: str | None) -> int | None:
        return self._next(rate, self._store.limits.tokens_from.get(gate, 0))

    def _next(self, rate: str | None, kept: float) -> int | None:
        if rate is None:
            return None
        pace = Pace.of(rate)
        count, start = pace.tokens(kept, self._store.now_ms)
        return None if count else pace.next_ms(start)

    def waiting_by_task(self) -> dict[str, int]:
        with self._store.changed:
            queues = list(self._store.queues.values())
            gates = [gate for queue in queues for gate, _ in queue.lines.blocked.values()]
        return Counter(map(_task_at, gates))

    def find(self, message_id: str) -> Standing | None:
        with self._store.changed:
            message = self._store.messages.get(message_id)
            if message is None:
                return None
            queue = self._store.queue(message.queue)
            try:
                task = open_envelope(message.raw).task
            except DecodeError:
                return None
            key, is_leased = key_of(message.raw) or "", message_id in queue.leased
            here = Standing(queue.name, task, key, is_leased)
            place = queue.lines.blocked.get(message_id)
            if place is None:
                return here
            gate, order = place
            ahead = queue.lines.lines[gate].index((order, message_id))
            return here._replace(gate=gate, ahead=ahead)

    def record(self, queue: str) -> Spec:
        with self._store.changed:
            record = self._store.queue(queue).record
            return {
                "paused": record.get("paused") == 1,
                "max_concurrency": record.get("max_concurrency"),
                "rate_limit": record.get("rate_limit"),
            }

    def leased(self, queue: str) -> int:
        return len(self._store.queue(queue).leased)

    def next_of_queue(self, queue: str, rate: str | None) -> int | None:
        return self._next(rate, self._store.queue(queue).lines.tokens_from)
