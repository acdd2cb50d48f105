"""Looking into a Redis broker from outside, and moving messages with one line each.

Reads keys directly: a test of a script must not believe another script.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import Delivery, Done, Fetched, FetchRequest, Settlement, StoredResult
from windlass.brokers.redis import RedisBroker
from windlass.messages import Outgoing
from windlass.redis_store.resp import packed

#: The fake clock of tests that set `broker.commands.now`, ms.
NOW = 1_700_000_000_000
LEASE_MS = 15_000
#: Counters and names: what stays when every message is gone.
PERMANENT = ("stats", "queues", "tokens", "record", "idle", "revoked", "signals")
FINAL = StoredResult(payload=b"jFoutcome", ttl_ms=60_000)
PENDING = StoredResult(payload=b"jNnot yet", ttl_ms=60_000)


def at(broker: RedisBroker, now_ms: int) -> None:
    """Set the clock of the scripts."""
    broker.commands.now = str(now_ms)


def read(broker: RedisBroker, *words: bytes | str | int) -> Any:
    """Run one plain command."""
    return broker.links.call([packed(*words)])[0]


def send(broker: RedisBroker, *ids: str, queue: str = "q", **options: Any) -> list[Outgoing]:
    """Enqueue messages of these ids in one call, and return them."""
    messages = [make_message(id=id_, queue=queue, **options) for id_ in ids]
    broker.enqueue(messages)
    return messages


def fetch(
    broker: RedisBroker, want: int = 10, queues: Sequence[str] = ("q",), **options: Any
) -> Fetched:
    """Fetch without settling."""
    options = {"worker_id": "w1", "lease_ms": LEASE_MS, **options}
    request = FetchRequest(want=want, queues=tuple(queues), **options)
    fetched = broker.exchange([], request)[1]
    assert fetched is not None
    return fetched


def lease(broker: RedisBroker, *ids: str, queue: str = "q", **options: Any) -> list[Delivery]:
    """Enqueue messages and fetch them at once."""
    send(broker, *ids, queue=queue, **options)
    deliveries = fetch(broker, len(ids), (queue,)).deliveries
    assert sorted(ids) == sorted(delivery.id for delivery in deliveries)
    return deliveries


def settle(broker: RedisBroker, *settlements: Settlement) -> list[str]:
    """Settle in one trip; returns the stale ids."""
    return broker.exchange(settlements, None)[0]


def done(delivery: Delivery, **options: Any) -> Done:
    """Build the plain end of a delivery."""
    return Done(id=delivery.id, queue=delivery.queue, token=delivery.token, **options)


def ids_of(fetched: Fetched) -> list[str]:
    """Ids of what was fetched, in order."""
    return [delivery.id for delivery in fetched.deliveries]


def ready_ids(broker: RedisBroker, queue: str = "q") -> list[str]:
    """Ids in the ready lists, in the order in which they would be served."""
    lists = broker.keys.queue(queue).by_urgency
    return [id_.decode() for key in lists for id_ in read(broker, "LRANGE", key, 0, -1)]


def places(broker: RedisBroker, message_id: str, queue: str = "q") -> list[str]:
    """Every place in which the id is, once for each time it is there."""
    q = broker.keys.queue(queue)
    found = ["ready"] * ready_ids(broker, queue).count(message_id)
    scheduled = [member[1:] for member in read(broker, "ZRANGE", q.scheduled, 0, -1)]
    found += ["scheduled"] * scheduled.count(message_id.encode())
    for name, key in (("leased", q.leased), ("parked", q.parked)):
        found += [name] * read(broker, "HEXISTS", key, message_id)
    found += ["dead"] if read(broker, "ZSCORE", q.dead, message_id) else []
    found += ["condemned"] * read(broker, "SISMEMBER", q.condemned, message_id)
    return found


def has_bytes(broker: RedisBroker, message_id: str) -> bool:
    """Whether the message's bytes are stored."""
    return bool(read(broker, "HEXISTS", broker.keys.messages, message_id))


def snapshot(broker: RedisBroker) -> dict[str, Any]:
    """Everything under the keyspace, by key; equal snapshots mean that nothing was done."""
    found = {}
    for key in sorted(read(broker, "KEYS", f"windlass:{{{broker.keys.keyspace}}}:*")):
        found[key.decode().removeprefix(broker.keys.base)] = read(broker, "DUMP", key)
    return found


def leftovers(broker: RedisBroker) -> list[str]:
    """Keys that should not be there once every message is gone; outcomes do not count."""
    return [
        key
        for key in snapshot(broker)
        if key.rpartition(":")[2] not in PERMANENT and not key.startswith("r:")
    ]


@contextmanager
def out_of_memory(server: RedisServer) -> Iterator[None]:
    """Make the server refuse every command that may need memory."""
    client = server.client()
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)
