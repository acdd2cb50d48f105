"""Telling a worker to take nothing more. A cordon is a lease itself: unrenewed, it ends."""

from __future__ import annotations

from windlass.brokers.base import ControlMessage
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script


def cordon(broker: RedisBroker | MemoryBroker, worker_id: str, ttl_ms: int = 30_000) -> None:
    """From now on, and for ttl_ms, no fetch of this worker gets a message.

    A worker that was not cordoned is told so, and looks at once. That is a hint: who misses it
    finds out with its next fetch or heartbeat.

    Guarantee: atomic with leasing: the fetch itself reads the cordon.
    """
    if isinstance(broker, MemoryBroker):
        return memory.cordon(broker, worker_id, ttl_ms)
    call = script("cordon").command((broker.keys.cordon,), (broker.commands.now, worker_id, ttl_ms))
    # (The script drops cordons that have run out, so an older one may still be listed here.)
    before, until = broker.links.call([packed("ZSCORE", broker.keys.cordon, worker_id), call])
    if before is None or float(before) <= int(until) - ttl_ms:
        hint = ControlMessage(kind="cordon", workers=(worker_id,))
        broker.links.call([packed("PUBLISH", broker.keys.control, hint.encode())])
    return None


def uncordon(broker: RedisBroker | MemoryBroker, worker_id: str) -> None:
    """Let the worker take messages again."""
    if isinstance(broker, MemoryBroker):
        return memory.cordon(broker, worker_id, 0)
    broker.links.call([packed("ZREM", broker.keys.cordon, worker_id)])
    return None
