"""The part of the in-memory broker that remembers attempts (`windlass.attempts`).

Not locked: `windlass.brokers.memory_store` owns the lock. The twin of `lib/attempts.lua`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.attempts import MAX_ATTEMPTS, MAX_BYTES, Counters, read_counters

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
    numbers = (message.deliveries, message.handbacks, message.generation, message.suspect)
    head = ":".join(map(str, numbers)).encode()
    return read_counters(b"\n".join([head, *message.attempts]))


def forget_try(message: Stored) -> None:
    """Start a new try: its counters are zero, what is remembered stays."""
    message.deliveries = message.handbacks = message.suspect = 0


def _size(lines: list[bytes]) -> int:
    return sum(len(line) + 1 for line in lines)
