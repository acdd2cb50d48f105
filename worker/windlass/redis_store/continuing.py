"""Packed calls about continuations: declaring them, giving parts, sending the rest. No I/O.

Next in the walk: `lua/declare.lua`, `lua/commit_with_parts.lua`, `lua/deliver.lua`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from windlass.brokers.base import DeadEnd, Done, StepDone
from windlass.continuations import Continuation, Part, Release
from windlass.messages import Outgoing
from windlass.redis_store.keys import Keys
from windlass.redis_store.packing import (
    CHUNK,
    MAX_CALL_BYTES,
    due_spec,
    expires_spec,
    result_args,
    text_bytes,
)
from windlass.redis_store.resp import Argument
from windlass.redis_store.scripts import outcome_script, script

_pack = msgspec.msgpack.Encoder().encode
Fields = list[Argument]


class Targets:
    """The queues that a call sends to: their keys, and their names as the script takes them."""

    def __init__(self, keys: Keys, names: Iterable[str]) -> None:
        queues = [keys.queue(name) for name in dict.fromkeys(names)]
        self.names = ",".join(q.name for q in queues)
        self.keys = [
            key
            for q in queues
            for key in (*q.by_urgency, q.scheduled, q.stats, q.wake, q.idle)
        ]  # fmt: skip


def message_args(messages: Iterable[Outgoing], now: str) -> list[Argument]:
    """Return what scripts take of messages of any queue: six arguments for each."""
    args: list[Argument] = []
    for message in messages:
        args += (
            message.queue, message.priority, message.id, due_spec(message, now),
            expires_spec(message), message.tail,
        )  # fmt: skip
    return args


def done_whole(keys: Keys, now: str, item: Done) -> bytes:
    """Pack the end of a message with all that comes with it."""
    q, step = keys.queue(item.queue), item if isinstance(item, StepDone) else None
    part = None if step is None else step.part
    then = part.then if part is not None else None if step is None else step.holds
    declares = () if step is None else step.declares
    targets = Targets(keys, [m.queue for m in item.followups] + list(then.queues if then else ()))
    touched = [
        keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.stats, keys.waiting,
        keys.result(item.id), keys.queues, keys.thens, q.dead, q.obits, *targets.keys,
        *([keys.then(then.id)] if then else ()), *(keys.then(each.id) for each in declares),
    ]  # fmt: skip
    args: list[Argument] = [
        now, keys.done_prefix, int(item.duration_ms * 1000), item.id, item.token,
        *result_args(item.result), targets.names,
        *((then.id, then.index) if then else ("", 0)),
        *((part.failure, value_of(part)) if part else (b"", b"")),
        "" if part or step is None else step.holder, _added(step), *_burial(item),
        len(item.followups), *message_args(item.followups, now),
    ]  # fmt: skip
    for each in declares:
        args += declared(each, now)
    return outcome_script("commit_with_followups", keys).command(touched, args)


def done_with_parts(keys: Keys, now: str, queue: str, ended: Sequence[StepDone]) -> bytes:
    """Pack the ends of messages of one queue that bring a part each and nothing else."""
    q, records = keys.queue(queue), dict[str, int]()
    names: dict[str, None] = {}
    messages: list[Argument] = []
    outcomes: list[Argument] = []
    results: list[bytes] = []
    service_ms = 0.0
    for item in ended:
        part, result = item.part, item.result
        if part is None:
            continue  # `done_whole` is for those
        service_ms += item.duration_ms
        which = records.setdefault(part.then.id, len(records) + 1)
        names.update(dict.fromkeys(part.then.queues))
        messages += (
            item.id, item.token, 0 if result is None else 1, which, part.then.index, part.failure,
            value_of(part),
        )  # fmt: skip
        if result is not None:
            outcomes += (result.ttl_ms, result.payload)
            results.append(keys.result(item.id))
    targets = Targets(keys, names)
    touched = [
        keys.messages, keys.attempts, q.leased, q.leases, q.grants, q.left, q.stats, keys.waiting,
        keys.queues, keys.thens, *targets.keys, *(keys.then(id_) for id_ in records), *results,
    ]  # fmt: skip
    args: list[Argument] = [
        now, keys.done_prefix, int(service_ms * 1000), targets.names, len(ended), len(records),
        *records, *messages, *outcomes,
    ]  # fmt: skip
    return outcome_script("commit_with_parts", keys).command(touched, args)


def part_bytes(item: StepDone) -> int:
    """Size of what one message brings to a call of `done_with_parts`, for cutting them up."""
    size = 0 if item.result is None else len(item.result.payload)
    return (
        size
        if item.part is None
        else size + len(item.part.failure) + sum(map(len, item.part.values))
    )


def given(keys: Keys, part: Part | None) -> tuple[tuple[bytes, ...], tuple[Argument, ...]]:
    """Return the keys and arguments of `lib/give.lua`; it is given nothing if there is no part."""
    if part is None:
        return (), ("", 0, b"", "")
    then = part.then
    targets = Targets(keys, then.queues)
    touched = (keys.queues, keys.thens, keys.then(then.id), *targets.keys)
    return touched, (then.id, then.index, part.failure, targets.names)


def deliver(
    keys: Keys,
    now: str,
    id_: str,
    queues: Iterable[str],
    parts: Sequence[Part] = (),
    failure: bytes = b"",
) -> bytes:
    """Pack the giving of parts to one continuation, and the sending of what is to be sent.

    Args:
        keys: Of the keyspace.
        now: As scripts take it.
        id_: The continuation.
        queues: That it sends to.
        parts: Of this continuation.
        failure: Ends the wait whatever is there.
    """
    targets = Targets(keys, queues)
    touched = (keys.messages, keys.queues, keys.thens, keys.then(id_), *targets.keys)
    args: list[Argument] = [now, id_, failure, targets.names]
    for part in parts:
        args += (part.then.index, part.failure, value_of(part))
    return script("deliver").command(touched, args)


def start(
    keys: Keys,
    now: str,
    messages: Sequence[Outgoing],
    continuations: Sequence[Continuation],
    *,
    is_again: bool = False,
) -> bytes:
    """Pack the start of a workflow that fits into one call.

    Args:
        keys: Of the keyspace.
        now: As scripts take it.
        messages: The first ones.
        continuations: All of them.
        is_again: An earlier try may have started it: nothing is done if there is a trace of it.
    """
    declarations = [(each.id, declared(each, now)) for each in continuations]
    traces = [message.id for message in messages] if is_again else []
    if is_again:
        traces += [release.id for each in continuations for release in each.releases]
    return _start(keys, now, messages, declarations, traces)


def starts(keys: Keys, now: str, continuations: Sequence[Continuation]) -> Iterable[bytes]:
    """Pack the declarations of a large workflow, in calls of a bearable size."""
    batch: list[tuple[str, Fields]] = []
    size = 0
    for each in continuations:
        for fields in _pieces(declared(each, now)):
            more = sum(map(_size, fields))
            if batch and (size + more > MAX_CALL_BYTES or len(batch) >= CHUNK):
                yield _start(keys, now, (), batch)
                batch, size = [], 0
            batch.append((each.id, fields))
            size += more
    if batch:
        yield _start(keys, now, (), batch)


def is_small(messages: Sequence[Outgoing], continuations: Sequence[Continuation]) -> bool:
    """Whether a workflow fits into one call."""
    count = len(messages) + sum(1 + len(each.releases) for each in continuations)
    if count > CHUNK:
        return False
    size = sum(len(message.tail) for message in messages)
    size += sum(_release_bytes(r) for each in continuations for r in each.releases)
    return size <= MAX_CALL_BYTES


def _start(
    keys: Keys,
    now: str,
    messages: Sequence[Outgoing],
    declarations: Sequence[tuple[str, Fields]],
    traces: Sequence[str] = (),
) -> bytes:
    targets = Targets(keys, (message.queue for message in messages))
    touched = [keys.messages, keys.queues, keys.thens, *targets.keys]
    args: list[Argument] = [now, targets.names, _pack(traces) if traces else b"", len(messages)]
    args += message_args(messages, now)
    for id_, fields in declarations:
        touched.append(keys.then(id_))
        args += fields
    touched += map(keys.result, traces)
    return script("declare").command(touched, args)


def declared(continuation: Continuation, now: str) -> Fields:
    """Return what `lib/declare.lua` takes of a continuation: id, how many fields, the fields."""
    chunks = _chunked(continuation.releases)
    plan = (continuation.max_bytes, continuation.formats, len(chunks), continuation.queues)
    fields: Fields = [
        "need", continuation.need, "plan", _pack(plan),
        "members", _pack((continuation.members, continuation.sources)),
    ]  # fmt: skip
    for number, chunk in enumerate(chunks):
        fields += (f"r{number}", _pack([_wire(release, now) for release in chunk]))
    return [continuation.id, len(fields) // 2, *fields]


def _pieces(fields: Fields) -> Iterable[Fields]:
    """Cut the fields of a continuation into pieces that fit into a call each."""
    id_, pairs = fields[0], fields[2:]
    at = size = 0
    for end in range(2, len(pairs) + 1, 2):
        size += _size(pairs[end - 1])
        if size > MAX_CALL_BYTES and end - 2 > at:
            yield [id_, (end - 2 - at) // 2, *pairs[at : end - 2]]
            at, size = end - 2, _size(pairs[end - 1])
    yield [id_, (len(pairs) - at) // 2, *pairs[at:]]


def _chunked(releases: Sequence[Release]) -> list[list[Release]]:
    found: list[list[Release]] = [[]]
    size = 0
    for release in releases:
        size += _release_bytes(release)
        if found[-1] and (len(found[-1]) == CHUNK or size > MAX_CALL_BYTES // 2):
            found.append([])
            size = _release_bytes(release)
        found[-1].append(release)
    return found


def _wire(release: Release, now: str) -> tuple[str | int | msgspec.Raw, ...]:
    """Return a release in the order in which `lib/continuation.lua` reads it."""
    return (
        release.id, release.queue, release.priority, due_spec(release, now), expires_spec(release),
        _text(release.address), _text(release.headers), _text(release.before),
        _text(release.between), _text(release.after), release.takes, _text(release.errbacks),
        _text(release.failing), release.feeds,
    )  # fmt: skip


def _text(data: bytes) -> msgspec.Raw:
    """Mark bytes as a msgpack string: Redis reads no other kind of bytes."""
    return msgspec.Raw(b"\xdb" + len(data).to_bytes(4, "big") + data)


def _release_bytes(release: Release) -> int:
    return len(release.headers) + len(release.before) + len(release.after) + len(release.errbacks)


def _burial(item: Done) -> tuple[str | bytes, ...]:
    """Return reason, detail, worker and attempt of a dead letter; empty where it becomes none."""
    if not isinstance(item, DeadEnd):
        return "", "", "", b""
    return item.reason, text_bytes(item.detail), text_bytes(item.worker), item.attempt


def _added(step: StepDone | None) -> bytes:
    if step is None or not step.grows:
        return b""
    return _pack([text for index, id_ in step.grows for text in (str(index), id_)])


def value_of(part: Part) -> bytes:
    """Return the value of a part as scripts take it: a list where there are several formats."""
    values = part.values
    if len(values) == 1:
        return values[0]
    return _pack([_text(value) for value in values]) if values else b""


def _size(argument: Argument) -> int:
    return len(argument) if isinstance(argument, bytes) else 8
