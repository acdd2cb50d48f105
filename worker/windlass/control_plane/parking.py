"""Ends the wait of messages whose task nobody knows: they become dead letters (park_limit_s).

A bounded chore, for any worker and the operator; safe to do twice, and by several at once.
Next in the walk: `lua/overdue_parked.lua`, `lua/bury_parked.lua`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from windlass.attempts import parked_too_long
from windlass.brokers.base import StoredResult
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.continuations import DEAD, Part, part_of
from windlass.control_plane import memory
from windlass.control_plane.dead_letters import Reason
from windlass.redis_store import continuing
from windlass.redis_store.packing import result_args, text_bytes
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import outcome_script, script

#: Pages of 500 parked messages that are looked through in one turn.
PAGES = 20


def _no_result(_id: str) -> StoredResult | None:
    return None


class ParkLimits:
    """Buries what was parked for too long. Keeps, for each queue, how far it has looked.

    Args:
        broker: Where.
        who: Named in the dead letters.
        result_for: Builds the outcome of a message that dies so; none is stored by default.
    """

    def __init__(
        self,
        broker: RedisBroker | MemoryBroker,
        who: str,
        result_for: Callable[[str], StoredResult | None] = _no_result,
    ) -> None:
        self._broker = broker
        self._who = who
        self._result_for = result_for
        self._cursors: dict[str, bytes] = {}

    def run_once(self, queues: Sequence[str]) -> int:
        """Look through parked messages of these queues. Returns how many became dead letters."""
        broker = self._broker
        if isinstance(broker, MemoryBroker):
            return sum(memory.bury_parked(broker, q, self._who, self._result_for) for q in queues)
        calls = [packed("HLEN", broker.keys.queue(name).parked) for name in queues]
        counts = broker.links.call(calls)
        parked = [name for name, count in zip(queues, counts, strict=True) if count]
        return sum(self._look_through(broker, name) for name in parked)

    def _look_through(self, broker: RedisBroker, queue: str) -> int:
        q, cursor, buried = broker.keys.queue(queue), self._cursors.get(queue, b"0"), 0
        for _ in range(PAGES):
            args = (broker.commands.now, cursor)
            call = script("overdue_parked").command((q.parked, q.record), args)
            cursor, found = broker.links.call([call])[0]
            if found:
                buried += self._bury(broker, queue, found[::2], found[1::2])
            if cursor == b"0":
                break
        self._cursors[queue] = cursor
        return buried

    def _bury(
        self, broker: RedisBroker, queue: str, ids: Sequence[bytes], values: Sequence[bytes]
    ) -> int:
        raws = broker.links.call([packed("HMGET", broker.keys.messages, *ids)])[0]
        calls, parts = [], []
        for id_, value, raw in zip(ids, values, raws, strict=True):
            part = part_of(id_.decode(), raw or b"", DEAD)
            parts.append(part)
            calls.append(self._call(broker, queue, id_.decode(), value, part))
        replies = broker.links.call(calls)
        broker.continuations.finish(part.then.id for part in parts if part is not None)
        return sum(replies)

    def _call(
        self, broker: RedisBroker, queue: str, id_: str, value: bytes, part: Part | None
    ) -> bytes:
        keys, q = broker.keys, broker.keys.queue(queue)
        part_keys, part_args = continuing.given(keys, part)
        task = value.partition(b":")[2].decode(errors="replace")
        detail, attempt = parked_too_long(task, self._who)
        touched = (
            keys.attempts, q.parked, q.dead, q.obits, keys.waiting, keys.result(id_),
            keys.messages, *part_keys,
        )  # fmt: skip
        args = (
            broker.commands.now, id_, value, Reason.PARKED_TOO_LONG, text_bytes(detail),
            text_bytes(self._who), attempt,
            *result_args(self._result_for(id_)), keys.done_prefix, *part_args,
        )  # fmt: skip
        return outcome_script("bury_parked", keys).command(touched, args)
