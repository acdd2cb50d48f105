"""Outcomes as bytes: a small header that is always readable, and the value as it was serialised.

    offset  size  field
    0       1     marker of the value's content type: 'j' json, 'm' msgpack, 'p' pickle, 'x' one
                  that the header names
    1       1     'F' when the outcome is final (SUCCESS, FAILURE, REVOKED), else '-'
    2       4     length of the header, big endian
    6       n     header, JSON: `_Header` without defaults
    6+n     rest  the value; with `result_extended` the list [value, args, kwargs]; compressed if
                  the header says how

Where outcomes are signed or encrypted the marker is 's', the header has state and date only, and
the rest is the whole of the above, sealed (`windlass.results.sealed`).

So a state can be read where the value's content type is refused, and a backend knows whether an
outcome ends a wait by looking at one byte.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.errors import DecodeError, EncodeError, MessageTooLarge, TaskRevokedError
from windlass.results import exceptions
from windlass.results.base import Extended, ResultMeta
from windlass.serializers.base import Serializer
from windlass.serializers.compression import MIN_BYTES, compress, decompress
from windlass.serializers.own import OwnSerializer
from windlass.serializers.registry import decode, decode_marked, serializer_named
from windlass.states import EXCEPTION_STATES, FAILURE, READY_STATES, RETRY, REVOKED, SUCCESS

if TYPE_CHECKING:
    from windlass.sealing.seals import Seals

_HEADER_AT = 6
#: Marker of an outcome that is signed or encrypted.
SEALED = b"s"
#: A compressed value may grow to so much unless the caller says otherwise.
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
#: Longest end of a traceback that is kept when an outcome is over the size cap, in characters.
_TRACEBACK_LIMIT = 20_000
_EXTENDED_PARTS = ("value", "args", "kwargs")


class _Header(msgspec.Struct, omit_defaults=True, gc=False):
    status: str
    date_done: int = 0  # milliseconds since the epoch, broker's clock
    traceback: str | None = None
    children: Sequence[Any] = ()
    parent_id: str | None = None
    group_id: str | None = None
    extended: bool = False
    name: str | None = None
    worker: str | None = None
    retries: int | None = None
    queue: str | None = None
    content_type: str | None = None
    encoding: str | None = None


class About(msgspec.Struct, kw_only=True, frozen=True):
    """What is stored beside a value, the same for every kind of outcome.

    Attributes:
        now_ms: The broker's clock, milliseconds since the epoch; 0 where it is not known.
        serializer: The result serializer's name.
        max_bytes: Size cap (`result_max_size_bytes`), None for no cap.
        compression: How a value above 1 KiB is made smaller, None: it is not.
        children: Ids of the tasks that were sent by this one.
        extended: With `result_extended`.
        seals: What signs and encrypts, None: nothing does.
    """

    now_ms: int = 0
    serializer: str = "json"
    max_bytes: int | None = None
    compression: str | None = None
    children: Sequence[Any] = ()
    parent_id: str | None = None
    group_id: str | None = None
    extended: Extended | None = None
    seals: Seals | None = None


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode


def encode_success(task_id: str, value: Any, about: About) -> bytes:
    """Encode a task's value.

    Raises:
        EncodeError: The value has no representation in the serializer.
        MessageTooLarge: The outcome is over the size cap.
    """
    return encode_state(task_id, SUCCESS, value, about)


def encode_state(
    task_id: str, state: str, value: Any, about: About, traceback_text: str | None = None
) -> bytes:
    """Encode a state with its value, e.g. the meta of `update_state`; it may be an exception.

    Raises:
        EncodeError: The value has no representation in the serializer.
        MessageTooLarge: The outcome is over the size cap.
    """
    serializer = serializer_named(about.serializer)
    if isinstance(value, BaseException):
        value = exceptions.describe(value, serializer)
    raw = _assemble(state, value, about, serializer, traceback_text)
    if about.max_bytes is not None and len(raw) > about.max_bytes:
        raise _too_large(task_id, len(raw), about.max_bytes)
    if about.compression is not None:
        raw = _smaller(raw, about.compression)
    return raw if about.seals is None else _sealed(task_id, raw, about.seals)


def encode_failure(
    task_id: str,
    exc: BaseException,
    traceback_text: str | None,
    about: About,
    state: str = FAILURE,
) -> bytes:
    """Encode an exception. It always succeeds: what is too large or cannot be encoded is cut."""
    try:
        return encode_state(task_id, state, exc, about, traceback_text)
    except (EncodeError, MessageTooLarge):
        serializer = serializer_named(about.serializer)
        text = traceback_text and _text(traceback_text)[-_TRACEBACK_LIMIT:]
        bare = msgspec.structs.replace(about, extended=None, children=())
        raw = _assemble(state, exceptions.summarise(exc), bare, serializer, text)
        return raw if about.seals is None else _sealed(task_id, raw, about.seals)


def encode_retry(
    task_id: str, exc: BaseException | None, traceback_text: str | None, about: About
) -> bytes:
    """Encode that the task will run again, and why: `exc` is what led to the retry."""
    if exc is None:
        return encode_state(task_id, RETRY, None, about, traceback_text)
    return encode_failure(task_id, exc, traceback_text, about, RETRY)


def encode_revoked(task_id: str, reason: str, about: About | None = None) -> bytes:
    """Encode that the task was revoked: "revoked", "expired" or "terminated"."""
    return encode_failure(task_id, TaskRevokedError(reason), None, about or About(), REVOKED)


def is_final(raw: bytes) -> bool:
    """Whether an outcome ends a wait: SUCCESS, FAILURE or REVOKED."""
    return raw[1:2] == b"F"


def value_in(raw: bytes, marker: str) -> bytes | None:
    """Return the encoded value of an outcome, None if it is encoded otherwise or not alone."""
    value_at = _HEADER_AT + int.from_bytes(raw[2:_HEADER_AT], "big")
    header = raw[_HEADER_AT:value_at]
    if raw[:1] != marker.encode() or b'"extended":true' in header or b'"encoding":' in header:
        return None
    return raw[value_at:]


def status_of(raw: bytes) -> str:
    """Read the state only; it needs no permission for the value's content type.

    Raises:
        DecodeError: The bytes are not an outcome.
    """
    return _open(raw)[0].status


def decode_meta(
    task_id: str,
    raw: bytes,
    accept: Collection[str],
    max_bytes: int = MAX_UNPACKED_BYTES,
    seals: Seals | None = None,
) -> ResultMeta:
    """Decode an outcome; exceptions are rebuilt.

    Args:
        task_id: Whose it is.
        raw: As stored.
        accept: Names or content types that may be decoded.
        max_bytes: What a compressed value may grow to.
        seals: What the settings say about signing and encryption, None: nothing.

    Raises:
        ContentDisallowed: The value's content type is not accepted.
        DecodeError: The bytes are not an outcome.
        SecurityError: It is not signed or encrypted as it has to be.
    """
    if seals is not None or raw[:1] == SEALED:
        # Who reads plain results does without it.
        from windlass.results.sealed import opened  # noqa: PLC0415

        raw = opened(task_id, raw, seals)
    header, value_at = _open(raw)
    data = raw[value_at:]
    if header.encoding is not None:
        data = decompress(data, header.encoding, max_bytes)
    if header.content_type is None:
        value = decode_marked(data, raw[:1], accept)
    else:
        value = decode(data, header.content_type, accept)
    args = kwargs = None
    if header.extended:
        value, args, kwargs = _three(value)
    if header.status in EXCEPTION_STATES and exceptions.is_described(value):
        value = exceptions.rebuild(value)
    return ResultMeta(
        task_id=task_id,
        status=header.status,
        result=value,
        traceback=header.traceback,
        children=list(header.children),
        date_done=_date(header.date_done),
        parent_id=header.parent_id,
        group_id=header.group_id,
        name=header.name,
        args=args,
        kwargs=kwargs,
        worker=header.worker,
        retries=header.retries,
        queue=header.queue,
    )


def _assemble(
    state: str, value: Any, about: About, serializer: Serializer, traceback_text: str | None
) -> bytes:
    header = _Header(state, about.now_ms, traceback_text, about.children)
    header.parent_id, header.group_id = about.parent_id, about.group_id
    if serializer.marker == OwnSerializer.marker:
        header.content_type = serializer.content_type
    parts: tuple[str, ...] = ()
    if about.extended is not None:
        value, parts = _extend(header, value, about.extended), _EXTENDED_PARTS
    header_bytes = _header_bytes(header)
    return b"".join(
        (
            serializer.marker,
            b"F" if state in READY_STATES else b"-",
            len(header_bytes).to_bytes(4, "big"),
            header_bytes,
            serializer.encode(value, parts),
        )
    )


def _sealed(task_id: str, raw: bytes, seals: Seals) -> bytes:
    if not seals.seals:
        return raw
    # As in `decode_meta`.
    from windlass.results.sealed import sealed  # noqa: PLC0415

    header = _open(raw)[0]
    return sealed(task_id, raw, _header_bytes(_Header(header.status, header.date_done)), seals)


def _smaller(raw: bytes, encoding: str) -> bytes:
    """Compress the value of an encoded outcome, if that is worth it."""
    header, value_at = _open(raw)
    if len(raw) - value_at < MIN_BYTES:
        return raw
    header.encoding = encoding
    header_bytes = _header_bytes(header)
    packed = compress(raw[value_at:], encoding)
    return raw[:2] + len(header_bytes).to_bytes(4, "big") + header_bytes + packed


def _extend(header: _Header, value: Any, more: Extended) -> list[Any]:
    header.extended = True
    header.name, header.worker = more.name, more.worker
    header.retries, header.queue = more.retries, more.queue
    return [value, more.args, more.kwargs or {}]


def _header_bytes(header: _Header) -> bytes:
    try:
        return _encode_header(header)
    except UnicodeEncodeError:  # a traceback may quote a lone surrogate
        header.traceback = _text(header.traceback or "")
        return _encode_header(header)


def _text(value: str) -> str:
    return value.encode(errors="backslashreplace").decode()


def _open(raw: bytes) -> tuple[_Header, int]:
    value_at = _HEADER_AT + int.from_bytes(raw[2:_HEADER_AT], "big")
    if len(raw) < _HEADER_AT or value_at > len(raw):
        raise _cut_short(len(raw), value_at)
    try:
        return _decode_header(raw[_HEADER_AT:value_at]), value_at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(error) from error


def _three(value: Any) -> tuple[Any, Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise _not_extended(value)
    return value[0], value[1], value[2]


def _date(epoch_ms: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(epoch_ms / 1000, UTC) if epoch_ms else None
    except (OverflowError, ValueError, OSError) as error:
        raise _damaged(error) from error


def _cut_short(size_bytes: int, expected_bytes: int) -> DecodeError:
    return _damaged(f"{size_bytes} bytes, at least {expected_bytes} expected")


def _not_extended(value: object) -> DecodeError:
    return _damaged(f"[value, args, kwargs] expected, found a {type(value).__name__}")


def _damaged(detail: object) -> DecodeError:
    return DecodeError(
        f"A stored result is damaged or was written by another version: {detail}. Expected a "
        "marker, a header and a value. Forget it, or read it with the version that wrote it."
    )


def _too_large(task_id: str, size_bytes: int, limit_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"The result of task {task_id}", size_bytes, limit_bytes, "result_max_size_bytes"
    )
