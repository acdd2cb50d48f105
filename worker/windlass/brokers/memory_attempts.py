"""The part of the in-memory broker that remembers attempts (`windlass.attempts`).

Not locked: `windlass.brokers.memory_store` owns the lock. The twin of `lib/attempts.lua`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.attempts import (
    ALONE,
    MAX_ATTEMPTS,
    MAX_BYTES,
    REPLAYED,
    SHARED,
    Attempt,
    Counters,
    Ending,
    read_counters,
)
from windlass.brokers.base import Again, Crashed

if TYPE_CHECKING:
    from windlass.brokers.memory_queue import Stored


def remember(message: Stored, now_ms: int, attempt: bytes) -> None:
    """Add an attempt, with the time at which it ended; the oldest make room."""
    if not attempt:
        return
    message.attempts.append(b'{"ended_ms":%d,' % now_ms + attempt[1:])
    while len(message.attempts) > MAX_ATTEMPTS or _size(message.attempts) > MAX_BYTES:
        del message.attempts[0]


def counters_of(message: Stored) -> Counters:
    """Return what is remembered of a message."""
    numbers = (message.deliveries, message.handbacks, message.generation, message.flags)
    head = ":".join(map(str, numbers)).encode()
    return read_counters(b"\n".join([head, *message.attempts]))


def carry_on(before: Stored, after: Stored, item: Again, now_ms: int) -> None:
    """Hand the memory of one try over to the next; a deferred one is the same try still."""
    after.generation, after.attempts = before.generation, before.attempts
    if item.is_deferred:
        after.deliveries, after.handbacks = before.deliveries, before.handbacks
        after.flags = before.flags
    else:
        remember(after, now_ms, item.attempt)


def is_spared(message: Stored, item: Crashed, cap: int, now_ms: int) -> bool:
    """Count a crash as `lua/crash.lua` does; whether the message may run again."""
    suspect = message.flags & (SHARED | ALONE)
    deliveries = message.deliveries + (2 if suspect == SHARED else 1)
    if item.is_shared and not suspect and deliveries < cap:
        message.flags |= SHARED
    else:
        message.deliveries, message.flags = deliveries, (message.flags & REPLAYED) | ALONE
    remember(message, now_ms, item.attempt)
    return message.deliveries < cap


def revive(message: Stored, now_ms: int, digest: str = "") -> None:
    """Forget the end of a dead letter; the generation grows by one."""
    mark = Attempt(end=Ending.REPLAYED, generation=message.generation, digest=digest)
    remember(message, now_ms, mark.encode())
    message.deliveries = message.handbacks = 0
    message.generation, message.flags = message.generation + 1, REPLAYED


def note_loss(message: Stored, worker: str, now_ms: int) -> None:
    """Count a lease that ran out."""
    message.deliveries += 1
    attempt = Attempt(
        end=Ending.LOST,
        worker=worker,
        delivery=message.deliveries,
        generation=message.generation,
    )
    remember(message, now_ms, attempt.encode())


def _size(lines: list[bytes]) -> int:
    return sum(len(line) + 1 for line in lines)
