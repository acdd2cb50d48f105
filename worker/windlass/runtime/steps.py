"""The part that a message of a workflow gives: how it ended, for the continuation that waits.

Built where the message ends: in the slot that ran it, or in the supervisor for one whose process is
gone. Every end is a part: a value, or a failure whatever it is called.
Next in the walk: `windlass.runtime.settle`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass import states
from windlass.continuations import Failure, Part
from windlass.errors import EncodeError, SecurityError, TaskError
from windlass.messages import Then, then_of
from windlass.released import value_piece
from windlass.results import exceptions
from windlass.results.codec import value_in
from windlass.runtime.outcome import Finished, Stepped
from windlass.serializers import registry

if TYPE_CHECKING:
    from windlass.sealing.seals import Seals

#: Longest end of a traceback that followers get, in characters.
_TRACEBACK_LIMIT = 4_000
#: Longest error that followers get as it is, in bytes; a longer one is summarised.
_ERROR_LIMIT = 64 * 1024
_JSON = registry.serializer_named("json")


def succeeded(then: Then, value: object, result: bytes | None, seals: Seals | None = None) -> Part:
    """Build the part of a task that returned a value.

    Args:
        then: Which part it is.
        value: What it returned.
        result: Its encoded outcome, in which the value may be encoded already.
        seals: What signs and encrypts, for a next step that wants its values sealed.

    Raises:
        EncodeError: The value has no representation in the serializer of the next step.
        SecurityError: It is to be sealed, and signing and encryption are off here.
    """
    pieces = []
    for marker in then.formats:
        if marker.isupper():
            pieces.append(_sealed(then, value, marker.lower(), seals))
            continue
        encoded = None if result is None else value_in(result, marker)
        if encoded is None:
            encoded = registry.encode_marked(value, marker)
        pieces.append(value_piece(encoded, marker))
    return Part(then=then, values=tuple(pieces))


def _sealed(then: Then, value: object, marker: str, seals: Seals | None) -> bytes:
    # Workflows without signing do without it.
    from windlass.sealing import places  # noqa: PLC0415

    if seals is None:
        raise SecurityError(
            "unsigned",
            "What comes after this task wants its value signed or encrypted, and message_signing "
            "and message_encryption are off here. Expected 'verify' and 'decrypt' at least.",
        )
    encoded = registry.encode_marked(value, marker)
    return places.seal_value(seals, then.id, then.index, marker, encoded)


def failed(
    then: Then,
    message_id: str,
    error: BaseException,
    state: str = states.FAILURE,
    traceback: str | None = None,
    seals: Seals | None = None,
) -> Part:
    """Build the part of a task that failed, or was revoked."""
    return Part(then=then, failure=failure_of(message_id, error, state, traceback, seals))


def failure_of(
    message_id: str,
    error: BaseException,
    state: str = states.FAILURE,
    traceback: str | None = None,
    seals: Seals | None = None,
) -> bytes:
    """Encode what followers are told of a failure; it always succeeds."""
    try:
        encoded = _JSON.encode(exceptions.describe(error, _JSON))
    except EncodeError:
        encoded = b""
    if not encoded or len(encoded) > _ERROR_LIMIT:
        encoded = _JSON.encode(exceptions.summarise(error))
    if traceback is not None:
        traceback = traceback.encode(errors="backslashreplace").decode()[-_TRACEBACK_LIMIT:]
    failure = Failure(message_id, state, b"j" + encoded, traceback)
    if seals is not None and seals.seals:
        from windlass.sealing.opening import seal_failure  # noqa: PLC0415 - as above

        failure = seal_failure(seals, failure)
    return failure.encode()


def ignored(then: Then, message_id: str) -> Part:
    """Build the part of a task that ended by Ignore: there is no value to go on with."""
    text = (
        f"Task {message_id} was ignored (it raised Ignore), so it has no result that what comes "
        "after it could take. Return a value instead, e.g. None."
    )
    return failed(then, message_id, TaskError(text))


def ended(state: str, result: bytes | None, part: Part | None, dead_as: str = "") -> Finished:
    """Build an outcome, with a part if there is one."""
    if part is None:
        return Finished(state, result, dead_as=dead_as)
    return Stepped(state, result, (), part, dead_as=dead_as)


def part_without_run(
    raw: bytes, message_id: str, error: BaseException, state: str = states.FAILURE
) -> Part | None:
    """Build the part of a message that ends without its task, None if it is no part of anything."""
    then = then_of(raw)
    return None if then is None else failed(then, message_id, error, state)
