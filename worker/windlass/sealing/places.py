"""Where each sealed piece belongs, and how the bodies that hold them are made and opened.

    header `seal`  body of the message                                   bound to
    m              a sealed body                                         id, queue, task, headers
    j              l|v, (length, index, sealed value).., -1, and the     the same; each value to
                   sealed rest: put together by the broker               continuation and index
    s              the sealed body of a schedule                         name, queue, task, headers
    m or j, of a   length, sealed errbacks, failure                      id, queue, task, headers
    failing message

What scripts write (priority and times, in the prefix) and what they count is bound to nothing.
Next in the walk: `windlass.runtime.executor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from windlass import messages
from windlass.continuations import Hole
from windlass.released import split_body, value_piece
from windlass.sealing.seals import bad_signature

if TYPE_CHECKING:
    from windlass.messages import Headers
    from windlass.sealing.seals import Seals

MESSAGE, JOINED, SCHEDULED = "m", "j", "s"
#: Markers of values that travel sealed: those of their serializers in upper case.
SEALED_MARKERS = {"j": "J", "m": "M", "p": "P"}
#: Headers that a schedule adds when it fires: not known when it is declared.
_OF_A_FIRE = ("schedule", "scheduled_for")
_END = b"\xff\xff\xff\xff"
_INDEX_BYTES = 8


class Rest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a joined message has beside its values.

    Attributes:
        source: The continuation that released it.
        takes: "list" or "value".
        need: How many values were declared; tasks may have added more.
        marker: Of the serializer of body and values.
        body: `[args, kwargs, embed]`, encoded.
    """

    source: str
    takes: str
    need: int
    marker: str
    body: bytes


_encode_rest = msgspec.msgpack.Encoder().encode
_decode_rest = msgspec.msgpack.Decoder(Rest).decode


def seal_tail(seals: Seals, message_id: str, head: bytes, body: bytes) -> bytes:
    """Return the tail of a message: its head (address and headers), and its body sealed."""
    return head + seal_body(seals, message_id, head, body)


def seal_body(seals: Seals, message_id: str, head: bytes, body: bytes) -> bytes:
    """Return the sealed body of a message."""
    return seals.seal(_of_message(MESSAGE, message_id, head), body)


def joined_parts(
    seals: Seals, message_id: str, head: bytes, rest: Rest
) -> tuple[bytes, bytes, bytes]:
    """Return (before, between, after) of a release that takes values, see `windlass.released`."""
    sealed = seals.seal(_of_message(JOINED, message_id, head), _encode_rest(rest))
    return rest.takes[:1].encode(), b"", _END + sealed


def seal_value(seals: Seals, continuation: str, index: int, marker: str, encoded: bytes) -> bytes:
    """Return an encoded value as the piece of a joined message that it becomes."""
    sealed = seals.seal(_of_value(continuation, index, marker), encoded)
    piece = index.to_bytes(_INDEX_BYTES, "big") + sealed
    return len(piece).to_bytes(4, "big") + piece


def seal_errbacks(seals: Seals, message_id: str, head: bytes, errbacks: bytes) -> bytes:
    """Return the errbacks of a failing message, sealed; `head` is that of the failing message."""
    return seals.seal(_of_message("f", message_id, head), errbacks)


def open_body(seals: Seals, message_id: str, raw: bytes, body: bytes, headers: Headers) -> bytes:
    """Return the body of a sealed message as it would be without a seal.

    Raises:
        SecurityError: It was altered or moved, or a key is unknown.
    """
    head = raw[messages.PREFIX_SIZE : len(raw) - len(body)]
    if headers.seal == JOINED:
        return _joined(seals, _of_message(JOINED, message_id, head), body)
    if headers.seal == SCHEDULED:
        return seals.open(_of_schedule(head, headers), body)
    return seals.open(_of_message(MESSAGE, message_id, head), body)


def open_errbacks(seals: Seals, message_id: str, raw: bytes, body: bytes, sealed: bytes) -> bytes:
    """Return the errbacks of a failing message.

    Raises:
        SecurityError: They were altered or moved, or a key is unknown.
    """
    head = raw[messages.PREFIX_SIZE : len(raw) - len(body)]
    return seals.open(_of_message("f", message_id, head), sealed)


def seal_scheduled(seals: Seals, name: str, address: bytes, headers: Headers, body: bytes) -> bytes:
    """Seal the body of a schedule: whoever ticks sends it as it is, with or without keys.

    The same call gives the same bytes, so that declaring it again changes nothing.
    """
    return seals.seal(_scheduled(name, address, headers), body, is_repeatable=True)


def of_failure(message_id: str, state: str) -> bytes:
    """Return the place of what is told of a failed task."""
    return b"e" + _text(message_id) + _text(state)


def of_result(task_id: str, head: bytes) -> bytes:
    """Return the place of an outcome."""
    return b"r" + _text(task_id) + head


def of_checkpoint(task_id: str) -> bytes:
    """Return the place of a task's checkpoint."""
    return b"c" + _text(task_id)


def _joined(seals: Seals, place: bytes, body: bytes) -> bytes:
    pieces, at = [], 1
    while body[at : at + 4] != _END:
        end = at + 4 + int.from_bytes(body[at : at + 4], "big")
        if end > len(body) or end < at + 4 + _INDEX_BYTES:
            raise bad_signature("its values are cut short")
        pieces.append(body[at + 4 : end])
        at = end
    try:
        rest = _decode_rest(seals.open(place, body[at + 4 :]))
    except msgspec.DecodeError as error:
        raise bad_signature("what was signed is no step of a workflow") from error
    indexes = [int.from_bytes(piece[:_INDEX_BYTES], "big") for piece in pieces]
    is_complete = indexes[: rest.need] == list(range(rest.need))
    if not is_complete or sorted(set(indexes)) != indexes or body[:1] != rest.takes[:1].encode():
        raise bad_signature("its values are not those that were declared, in their order")
    values = [
        value_piece(
            seals.open(_of_value(rest.source, index, rest.marker), piece[_INDEX_BYTES:]),
            rest.marker,
        )
        for index, piece in zip(indexes, pieces, strict=True)
    ]
    hole = Hole("list" if rest.takes == "list" else "value", len(values))
    before, between, after = split_body(rest.body, rest.marker, hole)
    return before + between.join(values) + after


def _of_message(kind: str, message_id: str, head: bytes) -> bytes:
    return kind.encode() + _text(message_id) + head


def _of_value(continuation: str, index: int, marker: str) -> bytes:
    return (
        b"v" + _text(continuation) + index.to_bytes(_INDEX_BYTES, "big") + marker.lower().encode()
    )


def _of_schedule(head: bytes, headers: Headers) -> bytes:
    name = (headers.headers or {}).get("schedule")
    if not isinstance(name, str):
        raise bad_signature("it names no schedule")
    return _scheduled(name, messages.address_in(head), headers)


def _scheduled(name: str, address: bytes, headers: Headers) -> bytes:
    own = {k: v for k, v in (headers.headers or {}).items() if k not in _OF_A_FIRE}
    plain = msgspec.structs.replace(headers, headers=own or None)
    return SCHEDULED.encode() + _text(name) + messages.encode_tail(address, plain, b"")


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(4, "big") + data
