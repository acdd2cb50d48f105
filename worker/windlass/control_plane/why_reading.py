"""Reads what there is to know of one message: two round trips, and a few more for what is unusual.

A snapshot for people: the message may move between two reads. Asks no worker and reads no outcome;
`windlass.why` adds those.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from windlass.attempts import Counters, read_counters
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import history
from windlass.control_plane.dead_letters import show_dead
from windlass.control_plane.heartbeats import (
    WorkerStatus,
    read_workers,
    workers_alive,
    workers_calls,
)
from windlass.control_plane.limits import why_blocked
from windlass.control_plane.queue_record import (
    QueueRecord,
    read_record,
    record_call,
    record_of,
)
from windlass.control_plane.why_facts import MOST_AHEAD, Facts, Obituary, Queue
from windlass.errors import DecodeError, InvalidQueueName
from windlass.messages import Message, check_queue_name, decode_message
from windlass.redis_store.resp import packed
from windlass.states import Stage

#: Where limits have a say.
_LIMITED = (Stage.QUEUED, Stage.BLOCKED)


class _Known(NamedTuple):
    """What is the same wherever the message is."""

    now_ms: int
    raw: bytes | None
    counters: Counters
    is_revoked: bool
    workers: list[WorkerStatus]


class _Place(NamedTuple):
    """Where in its queue it is; times in milliseconds, 0 for none."""

    stage: Stage
    record: QueueRecord
    due_ms: int = 0
    lease_ms: int = 0
    lease_worker: str = ""
    parked_ms: int = 0
    leased: int = 0
    ahead: int | None = None


def read_facts(broker: RedisBroker | MemoryBroker, message_id: str) -> Facts:
    """Gather what the broker knows of a message.

    Raises:
        OperationalError: The broker cannot be reached.
    """
    known = _known(broker, message_id)
    facts = Facts(
        id=message_id,
        now_ms=known.now_ms,
        stage=Stage.UNKNOWN,
        is_revoked=known.is_revoked,
        counters=known.counters,
    )
    if known.raw is None:
        return msgspec.structs.replace(facts, waits_for=broker.waiting([message_id])[0])
    try:
        message = decode_message(message_id, known.raw)
        check_queue_name(message.queue)
    except (DecodeError, InvalidQueueName):
        stage = broker.stage(message_id)
        return msgspec.structs.replace(facts, is_readable=False, stage=stage)
    place = _place(broker, message)
    return _with_place(broker, facts, message, place, known.workers)


def _with_place(
    broker: RedisBroker | MemoryBroker,
    facts: Facts,
    message: Message,
    place: _Place,
    workers: list[WorkerStatus],
) -> Facts:
    name = message.queue
    serving = tuple(worker for worker in workers if name in worker.queues)
    return msgspec.structs.replace(
        facts,
        stage=place.stage,
        task=message.task,
        priority=message.priority,
        enqueued_ms=message.enqueued_ms,
        due_ms=place.due_ms or message.due_ms,
        expires_ms=message.expires_ms,
        retries=message.headers.retries,
        queue=Queue(name=name, record=place.record, workers=serving, leased=place.leased),
        ahead=place.ahead,
        lease_ms=place.lease_ms,
        lease_worker=place.lease_worker,
        parked_ms=place.parked_ms,
        blocked=tuple(why_blocked(broker, facts.id)) if place.stage in _LIMITED else (),
        obituary=_obituary(broker, name, facts.id) if place.stage is Stage.DEAD else None,
    )


def _obituary(broker: RedisBroker | MemoryBroker, queue: str, message_id: str) -> Obituary | None:
    letter = show_dead(broker, queue, message_id)
    if letter is None:
        return None
    return Obituary(
        reason=letter.reason, detail=letter.detail, at_ms=letter.at_ms, worker=letter.worker
    )


def _known(broker: RedisBroker | MemoryBroker, message_id: str) -> _Known:
    if isinstance(broker, MemoryBroker):
        return _known_in_memory(broker, message_id)
    keys = broker.keys
    time, raw, counters, revoked, seen, statuses = broker.links.call(
        [
            packed("TIME"),
            packed("HGET", keys.messages, message_id),
            packed("HGET", keys.attempts, message_id),
            packed("ZSCORE", keys.revoked, message_id),
            *workers_calls(keys),
        ]
    )
    now_ms = int(broker.commands.now or int(time[0]) * 1000 + int(time[1]) // 1000)
    return _Known(
        now_ms=now_ms,
        raw=raw,
        counters=read_counters(counters),
        is_revoked=revoked is not None and float(revoked) > now_ms,
        workers=workers_alive(seen, statuses, now_ms),
    )


def _place(broker: RedisBroker | MemoryBroker, message: Message) -> _Place:
    if isinstance(broker, MemoryBroker):
        return _place_in_memory(broker, message)
    q, id_, level = broker.keys.queue(message.queue), message.id, message.priority
    before = [packed("LLEN", q.ready[higher]) for higher in range(level + 1, 10)]
    token, due, is_blocked, parked, died, is_condemned, at, record, leased, *longer = (
        broker.links.call(
            [
                packed("HGET", q.leased, id_),
                packed("ZSCORE", q.scheduled, f"{level}{id_}"),
                packed("HEXISTS", q.blocked, id_),
                packed("HGET", q.parked, id_),
                packed("ZSCORE", q.dead, id_),
                packed("SISMEMBER", q.condemned, id_),
                packed("LPOS", q.ready[level], id_, "MAXLEN", MOST_AHEAD),
                record_call(broker.keys, message.queue),
                packed("HLEN", q.leased),
                *before,
            ]
        )
    )
    places = (
        (token is not None, Stage.LEASED),
        (due is not None, Stage.SCHEDULED),
        (is_blocked, Stage.BLOCKED),
        (parked is not None, Stage.PARKED),
        (died is not None, Stage.DEAD),
        (is_condemned, Stage.DONE),
    )
    stage = next((stage for found, stage in places if found), Stage.QUEUED)
    ahead = None
    if stage is Stage.QUEUED:
        ahead = sum(longer) + (MOST_AHEAD if at is None else at)
    until, grant = b"0", b""
    if token is not None:
        reads = [packed("ZSCORE", q.leases, token), packed("HGET", q.grants, token)]
        until, grant = broker.links.call(reads)
    return _Place(
        stage,
        record_of(record),
        due_ms=int(float(due or 0)),
        lease_ms=int(float(until or 0)),
        lease_worker=(grant or b"").partition(b"\n")[0].decode(errors="replace"),
        parked_ms=int((parked or b"0").partition(b":")[0]),
        leased=leased,
        ahead=ahead,
    )


def _known_in_memory(broker: MemoryBroker, message_id: str) -> _Known:
    store = broker.store
    with store.changed:
        stored = store.messages.get(message_id)
        until_ms, _ = store.tombstones.get(message_id, (0, ""))
        return _Known(
            now_ms=store.now_ms,
            raw=None if stored is None else stored.raw,
            counters=history.counters_of(broker, message_id),
            is_revoked=until_ms > store.now_ms,
            workers=read_workers(broker),
        )


def _place_in_memory(broker: MemoryBroker, message: Message) -> _Place:
    store, record = broker.store, read_record(broker, message.queue)
    with store.changed:
        queue, id_, level = store.queue(message.queue), message.id, message.priority
        stage = store.stage(id_)
        if stage is Stage.LEASED:
            grant = queue.grants[queue.leased[id_]]
            return _Place(stage, record, lease_ms=grant.deadline_ms, lease_worker=grant.worker)
        if stage is Stage.SCHEDULED:
            member = f"{level}{id_}"
            due_ms = next((at for at, kept in queue.scheduled if kept == member), 0)
            return _Place(stage, record, due_ms=due_ms)
        if stage is Stage.QUEUED:
            ahead = sum(len(queue.ready[higher]) for higher in range(level + 1, 10))
            ahead += list(queue.ready[level]).index(id_)
            return _Place(stage, record, leased=len(queue.leased), ahead=ahead)
        parked_ms, _ = queue.parked.get(id_, (0, ""))
        return _Place(stage, record, parked_ms=parked_ms)
