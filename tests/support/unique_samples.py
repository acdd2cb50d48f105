"""Messages with locks, in one line each."""

from __future__ import annotations

from typing import Any

from broker_state import fetch
from builders import make_body, make_message
from windlass.brokers.base import Delivery, StoredResult
from windlass.brokers.unique import Claimed
from windlass.messages import Outgoing, Unique, decode_message
from windlass.serializers import registry

GONE = StoredResult(payload=b"jFreplaced", ttl_ms=0)


def make_unique(
    id_: str, until: str = "done", *args: Any, key: str = "t:k", queue: str = "q", **options: Any
) -> Outgoing:
    """A message that carries its id as its argument, or `args`."""
    names = ("on_duplicate", "period_ms", "max_wait_ms")
    own = {name: options.pop(name) for name in names if name in options}
    message = make_message(id=id_, queue=queue, body=make_body(args or (id_,)), **options)
    message.unique = Unique(key=key, until=until, **own)
    return message


def claim(broker: Any, id_: str, until: str = "done", *args: Any, **options: Any) -> Claimed:
    """Send one."""
    message = make_unique(id_, until, *args, **options)
    return broker.enqueue_unique([message], result_for=lambda _: GONE)[0]  # type: ignore[no-any-return]  # any broker's


def args_in(delivery: Delivery) -> list[Any]:
    """The positional arguments of a message."""
    message = decode_message(delivery.id, delivery.raw)
    content_type = message.headers.content_type
    return registry.decode(message.body, content_type, {"json"})[0]  # type: ignore[no-any-return]  # a body


def take(broker: Any, count: int = 10, queue: str = "q") -> list[Delivery]:
    """Fetch."""
    return fetch(broker, count, queues=(queue,)).deliveries
