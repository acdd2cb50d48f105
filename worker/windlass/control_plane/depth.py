"""How much waits where: one pipelined read for any number of queues."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from windlass.brokers.base import QueueDepth
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.control_plane.heartbeats import WorkerStatus, read_workers
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script
from windlass.redis_store.wire import Reply

#: What is due within so long counts as due soon, unless asked otherwise.
DUE_SOON_MS = 60_000


def list_queues(broker: RedisBroker | MemoryBroker) -> list[str]:
    """Names of all queues that ever held a message, sorted."""
    if isinstance(broker, MemoryBroker):
        return memory.list_queues(broker)
    reply = broker.links.call([packed("SMEMBERS", broker.keys.queues)])[0]
    return sorted(name.decode() for name in reply)


def started_by_queue(workers: Sequence[WorkerStatus]) -> dict[str, int]:
    """Messages that workers report as running, by queue."""
    started: defaultdict[str, int] = defaultdict(int)
    for worker in workers:
        for queue, count in worker.running.items():
            started[queue] += count
    return started


def read_depths(
    broker: RedisBroker | MemoryBroker,
    queues: Sequence[str],
    workers: Sequence[WorkerStatus] | None = None,
) -> list[QueueDepth]:
    """Read the depth of each queue, in their order.

    Args:
        broker: Where.
        queues: Names; unknown ones read as empty.
        workers: Heartbeats, if they were read already.
    """
    if not queues:
        return []
    if isinstance(broker, MemoryBroker):
        started = started_by_queue(read_workers(broker) if workers is None else workers)
        return memory.read_depths(broker, queues, started, DUE_SOON_MS)
    now = broker.commands.now
    replies = broker.links.call([depth_call(broker.keys, name, now) for name in queues])
    started = started_by_queue(read_workers(broker) if workers is None else workers)
    return [
        depth_of(name, reply, started.get(name, 0))
        for name, reply in zip(queues, replies, strict=True)
    ]


def depth_call(keys: Keys, queue: str, now: str = "", horizon_ms: int = DUE_SOON_MS) -> bytes:
    """Pack the read of one queue's depth; what is due within horizon_ms is counted apart."""
    q = keys.queue(queue)
    touched = (
        keys.messages, q.leased, q.leases, q.left, q.scheduled, q.record, q.stats, q.parked,
        q.dead, q.condemned, *q.by_urgency, q.beat, q.blocked, q.retry,
    )  # fmt: skip
    return script("depth").command(touched, (now, horizon_ms))


def depth_of(queue: str, reply: Reply, started: int) -> QueueDepth:
    """Read the reply to `depth_call`; `started` is what workers report as running."""
    return QueueDepth(
        queue=queue,
        open=reply[0],
        parked=reply[1],
        scheduled=reply[2],
        next_due_ms=reply[3],
        leased=reply[4],
        dead=reply[5],
        oldest_ms=reply[6],
        enqueued=reply[7],
        completed=reply[8],
        service_ms=reply[9] / 1000,
        paused=bool(reply[10]),
        blocked=reply[13],
        due_soon=reply[12],
        # Heartbeats are older than the depth: never more started than leased.
        started=min(started, reply[4]),
    )
