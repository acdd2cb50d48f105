"""Telling a worker to take nothing more. A cordon is a lease itself: unrenewed, it ends."""

from __future__ import annotations

from windlass.brokers.redis import RedisBroker
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script


def cordon(broker: RedisBroker, worker_id: str, ttl_ms: int = 30_000) -> None:
    """From now on, and for ttl_ms, no fetch of this worker gets a message.

    Guarantee: atomic with leasing: the fetch itself reads the cordon.
    """
    call = script("cordon").command((broker.keys.cordon,), (broker.commands.now, worker_id, ttl_ms))
    broker.links.call([call])


def uncordon(broker: RedisBroker, worker_id: str) -> None:
    """Let the worker take messages again."""
    broker.links.call([packed("ZREM", broker.keys.cordon, worker_id)])
