"""One message: what a client sends and a worker runs. Pure: no I/O, no globals, no app.

The bytes on the broker are a fixed prefix and two variable parts, so that the supervisor can route
a message without parsing JSON and a script can read its times without decoding anything:

    offset  size  field
    0       1     format version (1)
    1       1     priority as an ASCII digit, '0' to '9'
    2       6     enqueued_ms   broker clock, big endian       } written by the scripts,
    8       6     due_ms        0 when not scheduled           } everything after them
    14      6     expires_ms    0 when it never expires        } by the sender (the "tail")
    20      1+n   queue
    ..      2+n   task name
    ..      4+n   headers, JSON: Celery's message protocol 2 without id, task, eta and expires,
                  defaults left out
    ..      rest  body: [args, kwargs, embed] in the content type that the headers name

The id is the field under which the bytes are stored, so it is not repeated.
Next in the walk: `windlass.brokers.redis` (sending), `windlass.runtime.executor` (running).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from windlass.errors import DecodeError, InvalidQueueName

FORMAT_VERSION = 1
PREFIX_SIZE = 20
DEFAULT_PRIORITY = 0
#: The version digit, at 14, of ids that schedules give: UUIDs of version 8. All others are of 4.
RUN_MARK = "8"
_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,119}\Z")


class Then(msgspec.Struct, frozen=True, array_like=True):
    """Where a message's outcome goes: it is one part of a continuation.

    Attributes:
        id: The continuation, see `windlass.continuations`.
        index: Which part, from 0.
        formats: A marker for each serializer in which the value is wanted, e.g. "j"; "" where only
            the fact counts.
        queues: Those that the continuation sends to.
    """

    id: str
    index: int
    formats: str = "j"
    queues: tuple[str, ...] = ()


class Headers(msgspec.Struct, omit_defaults=True, kw_only=True):
    """Headers of Celery's message protocol 2 that are not in the prefix. Times in seconds."""

    #: Of the call's arguments, for limits that are counted for each key; percent-encoded where JSON
    #: would escape; "": it has none; None: not known. The first field, so that scripts find it
    #: without decoding.
    key: str | None = None
    root_id: str | None = None  # None: the message is the root
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    retries: int = 0
    #: [hard, soft], in Celery's order.
    timelimit: tuple[float | None, float | None] | None = None
    shadow: str | None = None
    origin: str | None = None
    ignore_result: bool | None = None
    #: None: acknowledged after the run; False (acks_late=False): acknowledged at start.
    acks_late: bool | None = None
    content_type: str = "application/json"
    content_encoding: str | None = None
    reply_to: str | None = None
    correlation_id: str | None = None
    replaced_task_nesting: int = 0
    stamps: dict[str, Any] | None = None
    stamped_headers: list[str] | None = None
    #: The caller's own headers.
    headers: dict[str, Any] | None = None
    #: What waits for the outcome, None for nothing.
    then: Then | None = None
    #: (kind, task) of a message that only tells its task that what came before it has failed.
    failing: tuple[str, str] | None = None
    #: The body is signed or encrypted: see `windlass.sealing.places`.
    seal: str | None = None


class Unique(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """The lock that a message takes, and what happens while another message holds it.

    Attributes:
        key: The same for all calls that are the same: task name and a key of the arguments.
        until: How long it is held: "queued" (while it waits), "started" (until it first starts),
            "done" (until it has ended), "period" (`period_ms`); or "debounce", "throttle".
        on_duplicate: "return" the holder, "reject" the message, "replace" the holder.
        period_ms: Of a period or a throttle; the wait of a debounce.
        max_wait_ms: A debounced message waits no longer than this after the first call; 0: ever.
    """

    key: str
    until: str
    on_duplicate: str = "return"
    period_ms: int = 0
    max_wait_ms: int = 0


class Outgoing(msgspec.Struct, kw_only=True, gc=False):
    """A message to be sent: its address, its times, and its tail, ready for the broker.

    `delay_ms` and `eta_ms` exclude each other; so do `ttl_ms` and `expires_at_ms`. The relative
    ones become absolute by the broker's clock.

    Attributes:
        once: Leave it as it is also when it has ended and its outcome is kept.
        unique: What it must not be beside, None for nothing.
    """

    id: str
    queue: str
    tail: bytes
    priority: int = DEFAULT_PRIORITY
    delay_ms: int | None = None
    eta_ms: int | None = None
    ttl_ms: int | None = None
    expires_at_ms: int | None = None
    once: bool = False
    unique: Unique | None = None


class Message(msgspec.Struct, kw_only=True, gc=False):
    """A message as a worker got it. Times are the broker's, milliseconds since the epoch."""

    id: str
    task: str
    queue: str
    priority: int
    enqueued_ms: int
    due_ms: int
    expires_ms: int
    headers: Headers
    body: bytes


class Envelope(msgspec.Struct, kw_only=True, gc=False):
    """What the supervisor needs of a message: the prefix only, nothing decoded."""

    priority: int
    enqueued_ms: int
    due_ms: int
    expires_ms: int
    queue: str
    task: str
    headers_at: int  # offset of the 4-byte header length


_KEY = b'{"key":"'
_encode_headers = msgspec.json.Encoder().encode
_decode_headers = msgspec.json.Decoder(Headers).decode


def check_queue_name(name: object) -> str:
    """Return the name unchanged.

    Raises:
        InvalidQueueName: It has characters that keys and flags cannot carry.
    """
    if not isinstance(name, str) or not _QUEUE_NAME.match(name):
        raise InvalidQueueName(name)
    return name


def address(queue: str, task: str) -> bytes:
    """Encode the part of a tail that is the same for every call of a task on a queue."""
    queue_bytes, task_bytes = queue.encode(), task.encode()
    return b"".join(
        (
            len(queue_bytes).to_bytes(1, "big"),
            queue_bytes,
            len(task_bytes).to_bytes(2, "big"),
            task_bytes,
        )
    )


def encode_tail(address_bytes: bytes, headers: Headers, body: bytes) -> bytes:
    """Build the sender's part of a message from `address()`, headers and an encoded body."""
    header_bytes = _encode_headers(headers)
    return b"".join((address_bytes, len(header_bytes).to_bytes(4, "big"), header_bytes, body))


def encode_head(address_bytes: bytes, header_bytes: bytes) -> bytes:
    """Build what stands before the body of a tail, from encoded headers."""
    return b"".join((address_bytes, len(header_bytes).to_bytes(4, "big"), header_bytes))


def address_in(tail: bytes) -> bytes:
    """Return the address that a tail begins with."""
    task_at = 1 + tail[0]
    return tail[: task_at + 2 + int.from_bytes(tail[task_at : task_at + 2], "big")]


def open_envelope(raw: bytes) -> Envelope:
    """Read the prefix of stored bytes.

    Raises:
        DecodeError: The bytes are cut short, or of a newer format version.
    """
    if len(raw) <= PREFIX_SIZE:
        raise DecodeError(f"Message of {len(raw)} bytes is cut short; expected a prefix of 20.")
    if raw[0] != FORMAT_VERSION:
        raise DecodeError(
            f"Message format version {raw[0]} is not known here; expected {FORMAT_VERSION}. It was "
            "sent by another version of windlass: upgrade this worker, then replay it."
        )
    queue_end = PREFIX_SIZE + 1 + raw[PREFIX_SIZE]
    task_at = queue_end + 2
    task_end = task_at + int.from_bytes(raw[queue_end:task_at], "big")
    if len(raw) < task_end + 4 or not 48 <= raw[1] <= 57:
        raise DecodeError("Message prefix is damaged: its lengths do not fit its size.")
    try:
        return Envelope(
            priority=raw[1] - 48,
            enqueued_ms=int.from_bytes(raw[2:8], "big"),
            due_ms=int.from_bytes(raw[8:14], "big"),
            expires_ms=int.from_bytes(raw[14:20], "big"),
            queue=raw[PREFIX_SIZE + 1 : queue_end].decode(),
            task=raw[task_at:task_end].decode(),
            headers_at=task_end,
        )
    except UnicodeDecodeError as error:
        raise DecodeError(f"Message prefix is damaged: {error}.") from error


def decode_message(message_id: str, raw: bytes) -> Message:
    """Decode prefix and headers; the body stays as it came.

    Raises:
        DecodeError: As `open_envelope`, or the headers are not the JSON they should be.
    """
    envelope = open_envelope(raw)
    body_at = envelope.headers_at + 4
    body_at += int.from_bytes(raw[envelope.headers_at : body_at], "big")
    if body_at > len(raw):
        raise DecodeError("Message headers are cut short.")
    try:
        headers = _decode_headers(raw[envelope.headers_at + 4 : body_at])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"Message headers cannot be decoded: {error}.") from error
    return Message(
        id=message_id,
        task=envelope.task,
        queue=envelope.queue,
        priority=envelope.priority,
        enqueued_ms=envelope.enqueued_ms,
        due_ms=envelope.due_ms,
        expires_ms=envelope.expires_ms,
        headers=headers,
        body=raw[body_at:],
    )


def then_of(raw: bytes) -> Then | None:
    """Return what waits for a message's outcome, None for nothing or if it cannot be read."""
    try:
        envelope = open_envelope(raw)
        headers_at = envelope.headers_at + 4
        end = headers_at + int.from_bytes(raw[envelope.headers_at : headers_at], "big")
        if raw.find(b'"then":[', headers_at, end) < 0:
            return None
        return _decode_headers(raw[headers_at:end]).then
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def key_of(raw: bytes) -> str | None:
    """Return the key of a message's limits, "" if it has none, None where that is not known."""
    try:
        at = open_envelope(raw).headers_at + 4
    except DecodeError:
        return None
    if not raw.startswith(_KEY, at):
        return None
    at += len(_KEY)
    return raw[at : raw.find(b'"', at)].decode("utf-8", "replace")


def stamps_of(raw: bytes) -> dict[str, Any] | None:
    """Return a message's stamps, None for none or if they cannot be read."""
    try:
        return decode_message("", raw).headers.stamps
    except DecodeError:
        return None


def tail_of(raw: bytes) -> bytes:
    """Return the sender's part of stored bytes, to send the same message again."""
    return raw[PREFIX_SIZE:]
