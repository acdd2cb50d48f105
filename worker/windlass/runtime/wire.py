"""The frames between the supervisor and a slot process. Pure: bytes in, bytes out.

To the slot:     4 bytes length, 1 byte kind, payload (a batch is msgpack).
To the supervisor: 13 bytes (kind, sequence number, duration in ms, payload length), payload.

A message is known by its sequence number on its slot. The two commonest outcomes, success without
and with a result, have kinds of their own, so that neither side encodes a struct for them.
Beside the socket goes the permit pipe: two bytes, the generation, for each message sent.
Next in the walk: `windlass.runtime.slots` (supervisor), `windlass.runtime.slot_main` (slot).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from windlass import states
from windlass.runtime.executor import RunRequest
from windlass.runtime.outcome import Finished, Outcome

#: To the slot: messages to run.
BATCH = 1
#: To the slot: cancel a running message if the pool can (asyncio); payload: sequence number.
CANCEL = 2
#: To the slot: finish what was begun, then exit.
STOP = 3
#: To the slot: a task has other time limits from now on; payload: msgpack [task, soft, hard].
LIMITS = 4

#: To the supervisor: SUCCESS, nothing to store.
PLAIN = 0
#: To the supervisor: SUCCESS, the payload is the encoded result.
RESULT = 1
#: To the supervisor: any other outcome, msgpack.
OUTCOME = 2
#: To the supervisor: the message begins now (only where `Handed.note` asked for it).
STARTED = 3
#: To the supervisor: the slot is up.
READY = 4

#: Bytes of a permit. The socket holds a few hundred frames that a blocked slot has not read, so
#: one byte could come round to a recalled message; two cannot.
PERMIT_SIZE = 2
GENERATIONS = 1 << (8 * PERMIT_SIZE)

_TO_SLOT = struct.Struct("!IB")
_TO_SUPERVISOR = struct.Struct("!BIfI")
_SEQUENCE = struct.Struct("!I")
_PERMIT = struct.Struct("!H")
HEADER_SIZE = _TO_SUPERVISOR.size
SLOT_HEADER_SIZE = _TO_SLOT.size

_pack_answer = _TO_SUPERVISOR.pack
_unpack_answer = _TO_SUPERVISOR.unpack_from
_SUCCESS = states.SUCCESS


class Handed(RunRequest, array_like=True, gc=False):
    """One message on its way to a slot. `note` asks for a STARTED frame when it begins."""

    note: bool = False


class Batch(msgspec.Struct, array_like=True, gc=False):
    """Messages for a slot; the first has `first_seq`, the others follow by one."""

    generation: int
    first_seq: int
    messages: list[Handed]


_encode = msgspec.msgpack.Encoder().encode
_decode_batch = msgspec.msgpack.Decoder(Batch).decode
_decode_limits = msgspec.msgpack.Decoder(tuple[str, float | None, float | None]).decode
_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


def batch_frame(batch: Batch) -> bytes:
    """Encode a batch with its frame header."""
    payload = _encode(batch)
    return _TO_SLOT.pack(len(payload), BATCH) + payload


def cancel_frame(seq: int) -> bytes:
    """Encode the order to cancel one running message."""
    return _TO_SLOT.pack(_SEQUENCE.size, CANCEL) + _SEQUENCE.pack(seq)


def stop_frame() -> bytes:
    """Encode the order to finish what was begun and exit."""
    return _TO_SLOT.pack(0, STOP)


def limits_frame(task: str, soft_s: float | None, hard_s: float | None) -> bytes:
    """Encode the news that a task has other time limits."""
    payload = _encode((task, soft_s, hard_s))
    return _TO_SLOT.pack(len(payload), LIMITS) + payload


def frames_to_slot(inbox: bytearray) -> Iterator[tuple[int, bytes]]:
    """Take the complete (kind, payload) frames off the front of what was read."""
    at, end = 0, len(inbox)
    while end - at >= SLOT_HEADER_SIZE:
        length, kind = _TO_SLOT.unpack_from(inbox, at)
        body_at = at + SLOT_HEADER_SIZE
        if end - body_at < length:
            break
        at = body_at + length
        yield kind, bytes(inbox[body_at:at])
    del inbox[:at]


def decode_batch(payload: bytes) -> Batch:
    """Decode the payload of a BATCH frame."""
    return _decode_batch(payload)


def decode_cancel(payload: bytes) -> int:
    """Return the sequence number in the payload of a CANCEL frame."""
    seq: int = _SEQUENCE.unpack(payload)[0]
    return seq


def decode_limits(payload: bytes) -> tuple[str, float | None, float | None]:
    """Return (task, soft, hard) in the payload of a LIMITS frame."""
    return _decode_limits(payload)


def answer_frame(seq: int, duration_ms: float, outcome: Outcome) -> bytes:
    """Encode how one message ended."""
    if type(outcome) is Finished and outcome.state == _SUCCESS and not outcome.followups:
        result = outcome.result
        if result is None:
            return _pack_answer(PLAIN, seq, duration_ms, 0)
        return _pack_answer(RESULT, seq, duration_ms, len(result)) + result
    payload = _encode(outcome)
    return _pack_answer(OUTCOME, seq, duration_ms, len(payload)) + payload


def note_frame(kind: int, seq: int = 0) -> bytes:
    """Encode a STARTED or READY note."""
    return _pack_answer(kind, seq, 0.0, 0)


def permits(generation: int, count: int) -> bytes:
    """Encode permits to begin `count` messages of a generation."""
    return generation.to_bytes(PERMIT_SIZE, "big") * count


def generations(permits_read: bytes) -> list[int]:
    """Decode permits."""
    return [each for (each,) in _PERMIT.iter_unpack(permits_read)]


def take_answers(inbox: bytearray) -> list[tuple[int, int, float, bytes]]:
    """Take the complete (kind, seq, duration_ms, payload) frames off the front of what was read."""
    answers = []
    at, end = 0, len(inbox)
    while end - at >= HEADER_SIZE:
        kind, seq, duration_ms, length = _unpack_answer(inbox, at)
        body_at = at + HEADER_SIZE
        if end - body_at < length:
            break
        at = body_at + length
        answers.append((kind, seq, duration_ms, bytes(inbox[body_at:at]) if length else b""))
    del inbox[:at]
    return answers


def decode_answer(kind: int, payload: bytes) -> Outcome:
    """Turn the payload of a PLAIN, RESULT or OUTCOME frame back into the outcome."""
    if kind == PLAIN:
        return Finished(_SUCCESS)
    if kind == RESULT:
        return Finished(_SUCCESS, payload)
    outcome: Outcome = _decode_outcome(payload)
    return outcome
