"""What a broker keeps of how far runs have come: `broker.checkpoints`.

Implemented by `windlass.brokers.redis_checkpoints` and `windlass.brokers.memory_checkpoints`; both
pass tests/conformance/test_checkpoints.py. Next in the walk: `windlass.checkpoints`.
"""

from __future__ import annotations

from typing import Protocol


class Checkpoints(Protocol):
    """Checkpoints of one keyspace, one a message. Every method may raise OperationalError."""

    def save(self, message_id: str, queue: str, token: int, retries: int, payload: bytes) -> bool:
        """Keep a checkpoint, b"" forgets it; False when the run has lost its lease."""

    def read(self, message_id: str, retries: int) -> bytes | None:
        """Return what an earlier run of this message has left, None for nothing."""

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """Forget those whose message is gone. Bounded; returns how many."""
