"""Dead letters: what could not be run, why, and the untouched message; to be shown and replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.control_plane.queue_record import read_record
from windlass.errors import DecodeError
from windlass.messages import Message, decode_message
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script

_PAGE = 500


class Reason(StrEnum):
    """Why a message is a dead letter. Public: filters and alerts are written on it."""

    #: Its run ended in a crash, or its worker was lost, as often as the queue allows.
    MAX_DELIVERIES = "max_deliveries"
    #: The bytes are not a message, or its body is not what its content type says.
    UNDECODABLE = "undecodable"
    #: The content type is not in accept_content.
    CONTENT_DISALLOWED = "content_disallowed"
    #: Over the size cap of the worker.
    TOO_LARGE = "too_large"
    #: Sent by a version that this worker does not understand.
    UNSUPPORTED_VERSION = "unsupported_version"
    #: The task raised Reject(requeue=False).
    REJECTED = "rejected"
    #: No worker knew its task for as long as the queue allows (park_limit_s).
    PARKED_TOO_LONG = "parked_too_long"
    #: Its time passed before it could run, and the queue keeps those (dead_expired).
    EXPIRED = "expired"
    #: The task failed for good, and the queue or the task keeps those (dead_failed,
    #: dead_letter_on_failure).
    FAILED = "failed"
    #: message_signing is "require" and it is not signed.
    UNSIGNED = "unsigned"
    #: message_encryption is "require" and it is not encrypted.
    UNENCRYPTED = "unencrypted"
    #: It was altered since it was signed or encrypted, or belongs to another task, id or queue.
    BAD_SIGNATURE = "bad_signature"
    #: It names a key that the worker does not have.
    UNKNOWN_KEY = "unknown_key"


class DeadLetter(msgspec.Struct, kw_only=True, frozen=True):
    """One dead letter. Times are the broker's, milliseconds since the epoch.

    Attributes:
        task: None where the bytes cannot be read.
        deliveries: Runs that ended in a crash.
        retries: Tries that ended in an exception and a retry.
        generation: How often it had been replayed.
        raw: The untouched message.
    """

    id: str
    queue: str
    reason: str
    detail: str
    at_ms: int
    raw: bytes
    task: str | None = None
    deliveries: int = 0
    retries: int = 0
    handbacks: int = 0
    generation: int = 0
    worker: str = ""

    @property
    def message(self) -> Message | None:
        """The decoded message, None where it cannot be read."""
        try:
            return decode_message(self.id, self.raw)
        except DecodeError:
            return None


def list_dead(
    broker: RedisBroker | MemoryBroker, queue: str, offset: int = 0, limit: int = 100
) -> list[DeadLetter]:
    """Return dead letters of a queue, the latest first."""
    if isinstance(broker, MemoryBroker):
        return _load(broker, queue, memory.dead_ids(broker, queue)[offset : offset + limit])
    dead = broker.keys.queue(queue).dead
    ids = broker.links.call([packed("ZREVRANGE", dead, offset, offset + limit - 1)])[0]
    return _load(broker, queue, [id_.decode() for id_ in ids])


def show_dead(broker: RedisBroker | MemoryBroker, queue: str, message_id: str) -> DeadLetter | None:
    """Return one dead letter, None if there is none of this id."""
    if not isinstance(broker, MemoryBroker):
        dead = broker.keys.queue(queue).dead
        if broker.links.call([packed("ZSCORE", dead, message_id)])[0] is None:
            return None
    return next(iter(_load(broker, queue, [message_id])), None)


def _load(broker: RedisBroker | MemoryBroker, queue: str, ids: Sequence[str]) -> list[DeadLetter]:
    if not ids:
        return []
    if isinstance(broker, MemoryBroker):
        return [letter_of(queue, *found) for found in memory.load_dead(broker, queue, ids)]
    obits, raws = broker.links.call(
        [
            packed("HMGET", broker.keys.queue(queue).obits, *ids),
            packed("HMGET", broker.keys.messages, *ids),
        ]
    )
    found = zip(ids, obits, raws, strict=True)
    return [
        letter_of(queue, id_, msgspec.json.decode(obit or b"{}"), raw or b"")
        for id_, obit, raw in found
    ]


def letter_of(queue: str, message_id: str, why: dict[str, Any], raw: bytes) -> DeadLetter:
    """Build a dead letter from what the broker keeps of it."""
    letter = DeadLetter(
        id=message_id,
        queue=queue,
        reason=why.get("reason", "unknown"),
        detail=why.get("detail", ""),
        at_ms=int(why.get("at_ms", 0)),
        raw=raw,
        deliveries=int(why.get("deliveries", 0)),
        handbacks=int(why.get("handbacks", 0)),
        generation=int(why.get("generation", 0)),
        worker=why.get("worker", ""),
    )
    message = letter.message
    if message is None:
        return letter
    return msgspec.structs.replace(letter, task=message.task, retries=message.headers.retries)


def replay(
    broker: RedisBroker | MemoryBroker,
    queue: str,
    ids: Sequence[str],
    *,
    start_ms: int | None = None,
    apart_ms: float = 0.0,
) -> int:
    """Make dead letters ready again under their own id, as the next generation. Returns how many.

    Counters, expiry, the stored outcome and a revocation are forgotten; the sender's bytes are
    untouched, and what is remembered of earlier runs stays. An id that is no dead letter (any
    more) is passed over, so that nothing is ever in two places.

    Args:
        broker: Where.
        queue: Where they are dead letters.
        ids: Any number; sent in this order.
        start_ms: When the first one is due, by the broker's clock; None makes all ready at once.
        apart_ms: From one to the next. The broker holds them until they are due.
    """
    if isinstance(broker, MemoryBroker):
        return memory.replay(broker, queue, ids, start_ms, apart_ms)
    keys, q, total = broker.keys, broker.keys.queue(queue), 0
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        touched = (
            keys.messages, keys.attempts, q.dead, q.obits, q.wake, q.idle, keys.revoked,
            keys.signals, q.scheduled, *q.by_urgency, *(keys.result(id_) for id_ in page),
        )  # fmt: skip
        first = "" if start_ms is None else round(start_ms + apart_ms * total)
        call = script("replay").command(touched, (broker.commands.now, first, str(apart_ms), *page))
        total += int(broker.links.call([call])[0])
    return total


def purge_dead(
    broker: RedisBroker | MemoryBroker, queue: str, ids: Sequence[str] | None = None
) -> int:
    """Delete the dead letters named, or all of the queue. Returns how many."""
    if isinstance(broker, MemoryBroker):
        return memory.purge_dead(broker, queue, ids, math.inf)
    if ids is None:
        return _purge_before(broker, queue, "+inf")
    pages = (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))
    return sum(_purge_call(broker, queue, "", page) for page in pages)


def enforce_retention(
    broker: RedisBroker | MemoryBroker, queue: str, now_ms: int | None = None
) -> int:
    """Delete dead letters older than the queue record allows; a bounded chore. Returns how many.

    Args:
        broker: Where.
        queue: Name.
        now_ms: The instant; the broker's clock if not given.
    """
    keep_s = read_record(broker, queue).dead_retention_s
    if not keep_s:
        return 0
    if now_ms is None:
        now_ms = broker_now_ms(broker)
    before_ms = now_ms - keep_s * 1000
    if isinstance(broker, MemoryBroker):
        return memory.purge_dead(broker, queue, None, before_ms)
    return _purge_call(broker, queue, str(before_ms), ())


def broker_now_ms(broker: RedisBroker | MemoryBroker) -> int:
    """Return the broker's clock, milliseconds since the epoch."""
    if isinstance(broker, MemoryBroker):
        return broker.store.now_ms
    if broker.commands.now:
        return int(broker.commands.now)
    seconds, micros = broker.links.call([packed("TIME")])[0]
    return int(seconds) * 1000 + int(micros) // 1000


def _purge_before(broker: RedisBroker, queue: str, before: str) -> int:
    total = 0
    while deleted := _purge_call(broker, queue, before, ()):
        total += deleted
    return total


def _purge_call(broker: RedisBroker, queue: str, before: str, ids: Sequence[str]) -> int:
    keys, q = broker.keys, broker.keys.queue(queue)
    touched = (keys.messages, keys.attempts, q.dead, q.obits)
    call = script("purge_dead").command(touched, (before, _PAGE, *ids))
    return int(broker.links.call([call])[0])
