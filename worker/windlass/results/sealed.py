"""Outcomes that are signed or encrypted: the outcome as it would be stored, in a seal of its task.

State and date stay readable beside it, and are sealed with it: a backend and a wait need to know
whether an outcome is final, and nothing else of it.
"""

from __future__ import annotations

from windlass import states
from windlass.errors import SecurityError
from windlass.results import codec
from windlass.sealing import places
from windlass.sealing.opening import is_ours
from windlass.sealing.seals import UNKNOWN_KEY, Seals, bad_signature

_HEADER_AT = 6


def sealed(task_id: str, raw: bytes, header: bytes, seals: Seals) -> bytes:
    """Seal an encoded outcome; `header` is what stays readable of it, encoded."""
    head = codec.SEALED + raw[1:2] + len(header).to_bytes(4, "big") + header
    return head + seals.seal(places.of_result(task_id, head), raw)


def opened(task_id: str, raw: bytes, seals: Seals | None) -> bytes:
    """Return an outcome as it would be without a seal.

    One without a seal passes where one is required if it says no more than what everybody can do
    who may write to the broker: that the task was revoked, lost or refused.

    Raises:
        SecurityError: It is not as it has to be.
    """
    if raw[:1] != codec.SEALED:
        if seals is not None and seals.requires and not _is_plain_end(raw):
            seals.refuse_bare()
        return raw
    if seals is None:
        raise SecurityError(
            UNKNOWN_KEY,
            f"The result of task {task_id} is signed or encrypted, and message_signing and "
            "message_encryption are off here. Expected 'verify' and 'decrypt' at least.",
        )
    value_at = _HEADER_AT + int.from_bytes(raw[2:_HEADER_AT], "big")
    inside = seals.open(places.of_result(task_id, raw[:value_at]), raw[value_at:])
    if inside[1:2] != raw[1:2] or codec.status_of(inside) != codec.status_of(raw):
        raise bad_signature("its state is another one than what was signed")
    return inside


def _is_plain_end(raw: bytes) -> bool:
    if codec.status_of(raw) not in (states.FAILURE, states.REVOKED):
        return False
    value = codec.value_in(raw, "j")
    return value is not None and is_ours(b"j" + value)
