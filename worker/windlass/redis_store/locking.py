"""Packed calls that send messages with a lock, and their answers. No I/O.

A call knows neither who holds the lock nor where that is: mostly nobody does, or one in the same
queue, and one call is all. Else the script says what it has to be told, and is called again.
Next in the walk: `lua/enqueue_unique.lua`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from windlass.brokers.unique import Claimed, ReplacedResult, Swept, Tails
from windlass.continuations import REVOKED, Part, part_of
from windlass.errors import BrokerError
from windlass.messages import Outgoing, Unique
from windlass.redis_store.continuing import given
from windlass.redis_store.keys import Keys
from windlass.redis_store.packing import CHUNK, due_spec, expires_spec, result_args
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import outcome_script, script
from windlass.redis_store.wire import Reply

#: How often one message is tried while its lock goes from hand to hand.
_MOST_ROUNDS = 20
#: Locks in one call of the sweep.
SWEEP_COUNT = 500


class _Ask(msgspec.Struct):
    """One message that has no answer yet, and what is known of who holds its lock."""

    index: int
    message: Outgoing
    unique: Unique
    queue: str
    holder: str = ""
    head: bytes = b""
    rounds: int = 0


class Claims:
    """Messages with locks, until each has its answer.

    Args:
        keys: Of the keyspace.
        messages: Each with `unique`.
        result_for: Outcomes of those that are replaced.
        tails: Where a tail has to be made for the id that it is stored under.

    Attributes:
        freed: Continuations that a replaced message was a part of.
    """

    def __init__(
        self, keys: Keys, messages: Sequence[Outgoing], result_for: ReplacedResult, tails: Tails
    ) -> None:
        self._keys = keys
        self._result_for = result_for
        self._tails = tails
        self._answers: list[Claimed | None] = [None] * len(messages)
        self._asks = [
            _Ask(index, message, message.unique, message.queue)
            for index, message in enumerate(messages)
            if message.unique is not None
        ]
        self.freed: list[str] = []

    @property
    def is_pending(self) -> bool:
        """Whether there is something to be called."""
        return bool(self._asks)

    @property
    def answers(self) -> list[Claimed]:
        """The answers, in the order of the messages."""
        return [answer for answer in self._answers if answer is not None]

    def commands(self, now: str, *, is_again: bool) -> list[bytes]:
        """Pack the calls that are to be made now.

        Args:
            now: As scripts take it.
            is_again: An earlier try may have done them.
        """
        return [self._command(ask, now, is_again=is_again) for ask in self._asks[:CHUNK]]

    def take(self, replies: Sequence[Reply]) -> None:
        """Read the replies to `commands`; what has to be called again stays.

        Raises:
            BrokerError: A lock went from hand to hand faster than it could be looked at.
        """
        asks, self._asks = self._asks[:CHUNK], self._asks[CHUNK:]
        for ask, (what, *facts) in zip(asks, replies, strict=True):
            answer = _READ.get(what)
            if answer is not None:
                self._answers[ask.index] = answer(*facts)
                continue
            if what == b"ELSEWHERE":
                ask.queue, ask.holder = facts[0].decode(), ""
            else:
                ask.holder = facts[0].decode()
                ask.head = facts[1] if what == b"REPLACE" else b""
            ask.rounds += 1
            if ask.rounds > _MOST_ROUNDS:
                raise _never_still(ask.unique.key)
            self._asks.append(ask)

    def _command(self, ask: _Ask, now: str, *, is_again: bool) -> bytes:
        keys, message, unique, holder = self._keys, ask.message, ask.unique, ask.holder
        q, its = keys.queue(message.queue), keys.queue(ask.queue)
        tail, is_merging = message.tail, bool(holder) and not ask.head
        if is_merging and self._tails is not None:
            tail = self._tails(ask.index, holder)
        part: Part | None = part_of(holder, ask.head, REVOKED) if ask.head else None
        if part is not None:
            self.freed.append(part.then.id)
        outcome = self._result_for(holder) if ask.head else None
        part_keys, part_args = given(keys, part)
        touched = (
            keys.messages, keys.unique, keys.attempts, keys.queues, keys.waiting,
            keys.result(message.id), keys.result(holder or message.id),
            q.ready[message.priority], q.scheduled, q.stats, q.wake, q.idle,
            its.leased, its.scheduled, its.parked, its.dead, its.condemned, its.blocked, its.line,
            *part_keys,
        )  # fmt: skip
        args = (
            now, message.queue, message.priority, message.id, due_spec(message, now),
            expires_spec(message), tail, unique.key, unique.until, unique.period_ms,
            unique.max_wait_ms, unique.on_duplicate, int(is_again or message.once), ask.queue,
            holder, int(self._tails is not None), *result_args(outcome), keys.done_prefix,
            *part_args,
        )  # fmt: skip
        return outcome_script("enqueue_unique", keys).command(touched, args)


def _never_still(key: str) -> BrokerError:
    return BrokerError(
        f"The lock of {key!r} changed hands {_MOST_ROUNDS} times while a call waited for its "
        "answer. Send it again."
    )


_READ: dict[bytes, Callable[..., Claimed]] = {
    b"NEW": lambda id_: Claimed(id_.decode(), is_new=True),
    b"KNOWN": lambda id_: Claimed(id_.decode()),
    b"MERGED": lambda id_: Claimed(id_.decode(), is_merged=True),
    b"HELD": lambda id_, leased: Claimed(id_.decode(), is_held=True, is_running=bool(leased)),
}


def holder_of(keys: Keys, key: str) -> bytes:
    """Pack the reading of a lock."""
    return packed("HGET", keys.unique, key)


def sweep(keys: Keys, now: str, cursor: str) -> bytes:
    """Pack the sweep of a part of the locks."""
    return script("sweep_unique").command((keys.messages, keys.unique), (now, cursor, SWEEP_COUNT))


def swept(reply: Reply) -> Swept:
    """Read the reply of `sweep`."""
    cursor, seen, dropped = reply
    return Swept(cursor.decode(), int(seen), int(dropped))
