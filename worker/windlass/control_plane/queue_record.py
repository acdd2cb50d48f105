"""The queue record: settings that live with the queue; the scripts read them, nobody restarts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.errors import ConfigurationError, nearest
from windlass.rate_limits import rate_text
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script


class QueueRecord(msgspec.Struct, kw_only=True, frozen=True):
    """One queue's record.

    Attributes:
        paused: Nothing is leased from it; enqueueing goes on.
        max_deliveries: Runs that may end in a crash before a message is a dead letter, 1 to 1000.
            None leaves it to the workers' setting.
        dead_retention_s: Dead letters older than this are deleted, seconds; 0 keeps them for ever.
        park_limit_s: A message that no worker knew the task of for so long is a dead letter,
            seconds; 0 parks without end.
        dead_expired: A message that expires becomes a dead letter; its outcome is REVOKED as ever.
        dead_failed: A task that fails for good (its retries are exhausted, or it has none) leaves
            its message as a dead letter; its outcome is FAILURE as ever.
        rate_limit: Messages that may be leased in a time, by all workers together: "100/s", "30/m",
            "5/h". None is no limit.
        max_concurrency: Messages that may be leased at once, by all workers together; None is no
            limit.
        generation: Counts the changes.
    """

    paused: bool = False
    max_deliveries: int | None = None
    dead_retention_s: int = 7 * 86_400
    park_limit_s: int = 0
    dead_expired: bool = False
    dead_failed: bool = False
    rate_limit: str | None = None
    max_concurrency: int | None = None
    generation: int = 0


def read_record(broker: RedisBroker | MemoryBroker, queue: str) -> QueueRecord:
    """Return the record, with defaults where nothing was set."""
    if isinstance(broker, MemoryBroker):
        return _record_of_fields(memory.read_record(broker, queue))
    return record_of(broker.links.call([record_call(broker.keys, queue)])[0])


def record_call(keys: Keys, queue: str) -> bytes:
    """Pack the read of one queue's record."""
    return packed("HGETALL", keys.queue(queue).record)


def record_of(reply: Sequence[bytes]) -> QueueRecord:
    """Read the reply to `record_call`."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return _record_of_fields(
        {
            name.decode(): value.decode() if name == b"rate_limit" else int(value)
            for name, value in pairs
        }
    )


def _record_of_fields(fields: Mapping[str, Any]) -> QueueRecord:
    return QueueRecord(
        paused=fields.get("paused") == 1,
        max_deliveries=fields.get("max_deliveries"),
        dead_retention_s=fields.get("dead_retention_s", QueueRecord().dead_retention_s),
        park_limit_s=fields.get("park_limit_s", 0),
        dead_expired=fields.get("dead_expired") == 1,
        dead_failed=fields.get("dead_failed") == 1,
        rate_limit=fields.get("rate_limit"),
        max_concurrency=fields.get("max_concurrency"),
        generation=fields.get("generation", 0),
    )


def write_record(broker: RedisBroker | MemoryBroker, queue: str, **changes: Any) -> QueueRecord:
    """Change fields of the record; workers follow with their next fetch.

    Raises:
        ConfigurationError: An unknown field, or a value out of its range.
    """
    encoded_changes = {name: _encode(name, value) for name, value in changes.items()}
    if isinstance(broker, MemoryBroker):
        return _record_of_fields(memory.write_record(broker, queue, encoded_changes))
    q = broker.keys.queue(queue)
    fields: list[str | int] = []
    for name, encoded in encoded_changes.items():
        fields += (name, "" if encoded is None else encoded)
    # Whoever waits looks again: what was held back may be there now.
    wakes = int(changes.get("paused") is False or not _LIMITS.isdisjoint(changes))
    call = script("set_record").command(
        (q.record, broker.keys.queues, q.wake, q.idle), (queue, wakes, *fields)
    )
    return record_of(broker.links.call([call])[0])


#: Longest time that a record may name: ten years.
_LONGEST_S = 10 * 365 * 86_400
_FLAGS = ("paused", "dead_expired", "dead_failed")
#: Fields of which None is no value of their own.
_MAY_BE_NONE = ("max_deliveries", "rate_limit", "max_concurrency")
_LIMITS = frozenset({"rate_limit", "max_concurrency"})
_RANGES = {
    "max_deliveries": (1, 1000),
    "max_concurrency": (1, 1_000_000),
    "dead_retention_s": (0, _LONGEST_S),
    "park_limit_s": (0, _LONGEST_S),
}


def _encode(name: str, value: Any) -> int | str | None:
    if name == "rate_limit":
        return rate_text(value)
    if name in _FLAGS and isinstance(value, bool):
        return int(value)
    if name in _MAY_BE_NONE and value is None:
        return None
    if name in _RANGES and isinstance(value, int) and not isinstance(value, bool):
        low, high = _RANGES[name]
        if low <= value <= high:
            return value
        raise ConfigurationError(f"Queue setting {name}={value}; expected {low} to {high}.")
    known = (*_FLAGS, *_RANGES, "rate_limit")
    if name not in known:
        raise ConfigurationError(
            f"Unknown queue setting {name!r}.{nearest(name, known)} Expected one of: "
            f"{', '.join(known)}."
        )
    kind = "True or False" if name in _FLAGS else "a whole number"
    raise ConfigurationError(f"Queue setting {name}={value!r}; expected {kind}.")
