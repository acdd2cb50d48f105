"""The history of one message: its counters, and the attempts that did not end well.

Next in the walk: `windlass.attempts`, their shape.
"""

from __future__ import annotations

from windlass.attempts import Attempt, Counters, Ending, read_counters
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.redis_store.resp import packed

__all__ = ["Attempt", "Counters", "Ending", "attempts_of", "counters_of"]


def attempts_of(broker: RedisBroker | MemoryBroker, message_id: str) -> list[Attempt]:
    """Return what is remembered of a message's runs, oldest first; of dead letters too.

    Empty where it was never unusual, and once the message is gone.
    """
    return list(counters_of(broker, message_id).attempts)


def counters_of(broker: RedisBroker | MemoryBroker, message_id: str) -> Counters:
    """Return deliveries, hand-backs, generation and attempts of a message; zeros if it is gone."""
    if isinstance(broker, MemoryBroker):
        return memory.counters_of(broker, message_id)
    call = packed("HGET", broker.keys.attempts, message_id)
    return read_counters(broker.links.call([call])[0])
