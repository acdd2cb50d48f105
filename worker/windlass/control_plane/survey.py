"""Everything the operator wants to know of many keyspaces on one server, in one round trip.

One read serves all queues and all workers; the autoscaler lives on it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from windlass.brokers.base import QueueDepth
from windlass.control_plane.depth import depth_call, depth_of, started_by_queue
from windlass.control_plane.heartbeats import WorkerStatus, workers_alive, workers_calls
from windlass.control_plane.queue_record import QueueRecord, record_call, record_of
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed


class KeyspaceView(msgspec.Struct, kw_only=True, frozen=True):
    """One keyspace at one instant.

    Attributes:
        depths: By queue name.
        records: By queue name.
        workers: Those whose heartbeat has not expired.
    """

    keyspace: str
    depths: Mapping[str, QueueDepth]
    records: Mapping[str, QueueRecord]
    workers: tuple[WorkerStatus, ...]


def survey(links: Links, keyspaces: Mapping[str, Mapping[str, int]]) -> list[KeyspaceView]:
    """Read queues and workers of many keyspaces.

    Args:
        links: Connections with a user that may read all of them.
        keyspaces: Keyspace -> name of a queue -> horizon of `due_soon`, milliseconds.

    Raises:
        BrokerError: The server could not be asked; nothing is known then.
    """
    commands = [packed("TIME")]
    tables = [(Keys(keyspace), queues) for keyspace, queues in keyspaces.items()]
    for keys, queues in tables:
        commands += workers_calls(keys)
        for queue, horizon_ms in queues.items():
            depth = depth_call(keys, queue, horizon_ms=horizon_ms)
            commands += (depth, record_call(keys, queue))
    replies = iter(links.call(commands))
    seconds, micros = next(replies)
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    views = []
    for keys, queues in tables:
        workers = workers_alive(next(replies), next(replies), now_ms)
        started = started_by_queue(workers)
        depths, records = {}, {}
        for queue in queues:
            depths[queue] = depth_of(queue, next(replies), started.get(queue, 0))
            records[queue] = record_of(next(replies))
        views.append(
            KeyspaceView(
                keyspace=keys.keyspace, depths=depths, records=records, workers=tuple(workers)
            )
        )
    return views
