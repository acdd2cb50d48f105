"""The call of a schedule: sealed for the schedule, since the ids of its runs are not known yet."""

from __future__ import annotations

import msgspec

from windlass.messages import Message, address
from windlass.sealing import places
from windlass.sealing.seals import Seals


def sealed_for_schedule(seals: Seals, schedule: str, message: Message, raw: bytes) -> Message:
    """Return a message that was built for one call as what a schedule keeps.

    Args:
        seals: What signs and encrypts.
        schedule: Its name.
        message: Decoded; its headers may have been changed since.
        raw: Its bytes, sealed for its id.
    """
    sealed_headers = msgspec.structs.replace(message.headers, seal=places.MESSAGE)
    body = places.open_body(seals, message.id, raw, message.body, sealed_headers)
    headers = msgspec.structs.replace(message.headers, seal=places.SCHEDULED)
    its = address(message.queue, message.task)
    sealed = places.seal_scheduled(seals, schedule, its, headers, body)
    return msgspec.structs.replace(message, headers=headers, body=sealed)
