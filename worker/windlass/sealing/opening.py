"""What a worker does with a sealed message before anything of it is decoded.

Next in the walk: `windlass.sealing.places`.
"""

from __future__ import annotations

import msgspec

from windlass.continuations import Failure
from windlass.errors import SecurityError
from windlass.messages import Headers
from windlass.released import failing_body, open_failing_body
from windlass.sealing import places
from windlass.sealing.seals import UNKNOWN_KEY, Seals
from windlass.serializers import registry

#: Marker of a failure that is sealed, before its bytes.
SEALED_FAILURE = b"S"
_OURS = "windlass.errors"


def open_message(
    seals: Seals | None, message_id: str, raw: bytes, body: bytes, headers: Headers
) -> bytes:
    """Return the body of a message as it would be without signing and encryption.

    Args:
        seals: What the settings say; None: signing and encryption are off.
        message_id: Its id.
        raw: The stored bytes.
        body: The end of them.
        headers: Decoded; nothing else is.

    Raises:
        SecurityError: It is not as it has to be.
    """
    if headers.seal is None:
        if seals is not None:
            seals.refuse_bare()
        return body
    if seals is None:
        raise _off()
    if headers.failing is None:
        return places.open_body(seals, message_id, raw, body, headers)
    errbacks, failure = open_failing_body(body)
    opened = places.open_errbacks(seals, message_id, raw, body, errbacks)
    return failing_body(opened, failure)


def seal_failure(seals: Seals, failure: Failure) -> Failure:
    """Return what followers are told of a failure, sealed, its traceback too."""
    place = places.of_failure(failure.id, failure.state)
    inside = msgspec.msgpack.encode((failure.error, failure.traceback))
    return Failure(failure.id, failure.state, SEALED_FAILURE + seals.seal(place, inside))


def open_failure(seals: Seals | None, failure: Failure) -> Failure:
    """Return what followers are told of a failure, as it would be without a seal.

    Whoever may write to the broker can end a task, by deleting its message for example. So a
    failure without a seal passes where one is required, if it says no more than that: if it is one
    of the errors of `windlass.errors`, which need no key to be made.

    Raises:
        SecurityError: It was altered, or is some other error and not sealed.
    """
    if failure.error[:1] != SEALED_FAILURE:
        if seals is not None and seals.requires and not is_ours(failure.error):
            seals.refuse_bare()
        return failure
    if seals is None:
        raise _off()
    inside = seals.open(places.of_failure(failure.id, failure.state), failure.error[1:])
    error, traceback = msgspec.msgpack.decode(inside, type=tuple[bytes, str | None])
    return Failure(failure.id, failure.state, error, traceback)


def open_checkpoint(seals: Seals | None, task_id: str, is_sealed: bool, data: bytes) -> bytes:
    """Return a checkpoint as it would be without a seal.

    Raises:
        SecurityError: It is not as it has to be.
    """
    if not is_sealed:
        if seals is not None:
            seals.refuse_bare()
        return data
    if seals is None:
        raise _off()
    return seals.open(places.of_checkpoint(task_id), data)


def is_ours(marked: bytes) -> bool:
    """Tell whether a described error, behind its marker, is one of `windlass.errors`; JSON only."""
    if marked[:1] != b"j":
        return False
    described = registry.decode_marked(marked[1:], b"j", {"json"})
    return isinstance(described, dict) and described.get("exc_module") == _OURS


def _off() -> SecurityError:
    return SecurityError(
        UNKNOWN_KEY,
        "It is signed or encrypted, and message_signing and message_encryption are off here. "
        "Expected 'verify' and 'decrypt' at least, with the keys of its sender.",
    )
