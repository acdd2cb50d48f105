"""What each worker says of itself, kept on the broker while it lives."""

from __future__ import annotations

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script
from windlass.redis_store.wire import Reply


class WorkerStatus(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One heartbeat.

    Attributes:
        worker_id: Unique for each start of a worker.
        queues: In the order it serves them.
        slots: Messages it can run at once.
        busy: Messages it runs now.
        running: Queue -> messages it runs now.
        held: Messages leased and not begun.
        cordoned_since_ms: When it was told to take nothing more, 0 if it was not.
        largest_time_limit_s: Of the tasks it knows, 0 if none has one.
        tasks_done: Since its start.
        seen_ms: Broker clock of the last beat; filled in by `read_workers` as the expiry.
    """

    worker_id: str
    hostname: str = ""
    pid: int = 0
    app: str = ""
    version: str = ""
    queues: list[str] = []
    pool: str = ""
    slots: int = 0
    busy: int = 0
    running: dict[str, int] = {}
    held: int = 0
    draining: bool = False
    cordoned_since_ms: int = 0
    largest_time_limit_s: float = 0.0
    tasks_done: int = 0
    seen_ms: int = 0

    @property
    def host(self) -> str:
        """The machine's part of its name: in Kubernetes the pod."""
        return self.hostname.rpartition("@")[2]


def beat(broker: RedisBroker | MemoryBroker, status: WorkerStatus, ttl_ms: int) -> int:
    """Store a heartbeat that expires after ttl_ms.

    Returns:
        Until when this worker is cordoned, milliseconds of the broker's clock; 0 if it is not.
    """
    if isinstance(broker, MemoryBroker):
        return memory.beat(broker, status.worker_id, ttl_ms, status)
    call = _beat_call(broker, status.worker_id, ttl_ms, msgspec.json.encode(status))
    return int(broker.links.call([call])[0])


def say_goodbye(broker: RedisBroker | MemoryBroker, worker_id: str) -> None:
    """Remove a worker's heartbeat at its orderly end."""
    if isinstance(broker, MemoryBroker):
        memory.beat(broker, worker_id, 0, None)
    else:
        broker.links.call([_beat_call(broker, worker_id, 0, b"")])


def _beat_call(broker: RedisBroker, worker_id: str, ttl_ms: int, status: bytes) -> bytes:
    keys = broker.keys
    touched = (
        keys.workers, keys.workers_seen, keys.cordon, keys.waiting, keys.revoked, keys.signals,
    )  # fmt: skip
    return script("beat").command(touched, (broker.commands.now, worker_id, ttl_ms, status))


def read_workers(broker: RedisBroker | MemoryBroker) -> list[WorkerStatus]:
    """Return the workers whose heartbeat has not expired, by worker id."""
    if isinstance(broker, MemoryBroker):
        alive_here = memory.read_workers(broker)
        return [msgspec.structs.replace(kept, seen_ms=until) for until, kept in alive_here]
    now, alive, statuses = broker.links.call([packed("TIME"), *workers_calls(broker.keys)])
    now_ms = int(broker.commands.now or int(now[0]) * 1000 + int(now[1]) // 1000)
    return workers_alive(alive, statuses, now_ms)


def workers_calls(keys: Keys) -> list[bytes]:
    """Pack the two reads of a keyspace's heartbeats."""
    return [
        packed("ZRANGE", keys.workers_seen, 0, -1, "WITHSCORES"),
        packed("HGETALL", keys.workers),
    ]


def workers_alive(seen: Reply, statuses: Reply, now_ms: int) -> list[WorkerStatus]:
    """Read the replies to `workers_calls`; heartbeats that expired before now_ms are left out."""
    raw = dict(zip(statuses[::2], statuses[1::2], strict=True))
    workers = []
    for worker_id, expires in zip(seen[::2], seen[1::2], strict=True):
        if worker_id in raw and float(expires) > now_ms:
            status = msgspec.json.decode(raw[worker_id], type=WorkerStatus)
            status.seen_ms = int(float(expires))
            workers.append(status)
    return sorted(workers, key=lambda worker: worker.worker_id)
