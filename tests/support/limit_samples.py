"""Messages of one limited task, and its limits, as short lines."""

from __future__ import annotations

from typing import Any

from broker_state import done, settle
from builders import make_message
from windlass.brokers.base import Delivery
from windlass.control_plane.limits import TaskLimits, declare_limits
from windlass.messages import Headers

TASK = "shop.mail"


def limit(broker: Any, **limits: Any) -> None:
    """Declare the limits of the one limited task here."""
    declare_limits(broker, {TASK: TaskLimits(**limits)})


def send(broker: Any, *ids: str, task: str = TASK, key: str = "", **options: Any) -> None:
    """Send messages of the limited task; their key is said by the sender."""
    options.setdefault("queue", "q")
    headers = Headers(key=key or None)
    broker.enqueue([make_message(task, id=id_, headers=headers, **options) for id_ in ids])


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def end(broker: Any, *deliveries: Delivery) -> None:
    assert settle(broker, *(done(each) for each in deliveries)) == []
