"""What tests of attempts send and read: a retry, an attempt as bytes, how attempts ended."""

from __future__ import annotations

from typing import Any

from builders import make_message
from windlass.attempts import Attempt
from windlass.brokers.base import Again, Delivery
from windlass.control_plane.history import attempts_of


def again(delivery: Delivery, **options: Any) -> Again:
    """Build the retry of a delivery."""
    message = make_message(id=delivery.id, queue=delivery.queue)
    return Again(
        id=delivery.id, queue=delivery.queue, token=delivery.token, message=message, **options
    )


def ends(broker: Any, id_: str) -> list[str]:
    """How the remembered attempts of a message ended, the oldest first."""
    return [attempt.end for attempt in attempts_of(broker, id_)]


def noted(end: str, **fields: Any) -> bytes:
    """Encode an attempt."""
    return Attempt(end=end, **fields).encode()
