"""A broker that only remembers what it was given: for tests where no I/O is the point.

What needs a broker's behaviour (order, leases, results) is tested against a real Redis.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from windlass import Windlass
from windlass.brokers.base import StoredResult
from windlass.errors import OperationalError
from windlass.messages import Message, Outgoing, decode_message
from windlass.runtime.executor import Executor, RunRequest
from windlass.serializers import registry

#: The broker's clock in these tests, ms; far from this machine's, to show whose clock counts.
NOW_MS = 4_000_000_000_000


class RecordingBroker:
    """Keeps what is sent and the states that are stored.

    Attributes:
        batches: The messages of each enqueue call.
        retries: The publish retry of each call.
        continuations: Those of all calls.
        states: (id, queue, token, stored) of each set_state.
        is_down: Raise OperationalError instead.
    """

    def __init__(self) -> None:
        self.batches: list[list[Outgoing]] = []
        self.retries: list[Any] = []
        self.states: list[tuple[str, str, int, StoredResult]] = []
        self.continuations: list[Any] = []
        self.is_down = False

    @property
    def sent(self) -> list[Outgoing]:
        """All messages, in order."""
        return [message for batch in self.batches for message in batch]

    def enqueue(
        self, messages: Sequence[Outgoing], retry: Any = None, continuations: Sequence[Any] = ()
    ) -> list[bool]:
        """Remember them."""
        if self.is_down:
            text = "The broker is down."
            raise OperationalError(text)
        self.batches.append(list(messages))
        self.retries.append(retry)
        self.continuations.extend(continuations)
        return [True] * len(messages)

    async def aenqueue(
        self, messages: Sequence[Outgoing], retry: Any = None, continuations: Sequence[Any] = ()
    ) -> list[bool]:
        """Remember them."""
        return self.enqueue(messages, retry, continuations)

    def set_state(self, message_id: str, queue: str, token: int, payload: StoredResult) -> bool:
        """Remember it."""
        self.states.append((message_id, queue, token, payload))
        return True

    def close(self) -> None:
        """Nothing to close."""


def recording_app(**settings: Any) -> Windlass:
    """Return an app whose broker is a RecordingBroker; results are on."""
    url = "redis://127.0.0.1:1/0"
    app = Windlass("tests", broker=url, **{"backend": url, "set_as_current": False, **settings})
    vars(app)["_broker"] = RecordingBroker()
    return app


def broker_of(app: Windlass) -> RecordingBroker:
    """Return the app's RecordingBroker."""
    broker = app.broker
    assert isinstance(broker, RecordingBroker)
    return broker


def stored(outgoing: Outgoing) -> bytes:
    """Return the bytes that a broker would store for a message at NOW_MS."""
    times = (NOW_MS, due_ms(outgoing), expires_ms(outgoing))
    prefix = bytes([1, 48 + outgoing.priority])
    return prefix + b"".join(at.to_bytes(6, "big") for at in times) + outgoing.tail


def due_ms(outgoing: Outgoing) -> int:
    """Return when a message is due, 0 for at once."""
    if outgoing.delay_ms is not None:
        return NOW_MS + outgoing.delay_ms
    return outgoing.eta_ms or 0


def expires_ms(outgoing: Outgoing) -> int:
    """Return when a message expires, 0 for never."""
    if outgoing.ttl_ms is not None:
        return NOW_MS + outgoing.ttl_ms
    return outgoing.expires_at_ms or 0


def opened(outgoing: Outgoing) -> Message:
    """Decode a message."""
    return decode_message(outgoing.id, stored(outgoing))


def body_of(outgoing: Outgoing) -> Any:
    """Decode the body of a message: [args, kwargs, embed]."""
    message = opened(outgoing)
    return registry.decode(
        message.body, message.headers.content_type, {message.headers.content_type}
    )


def request_for(outgoing: Outgoing, *, later_ms: float = 0.0, **changes: Any) -> RunRequest:
    """Return what a worker gets of a message, `later_ms` after it was sent."""
    offset = NOW_MS + later_ms - time.monotonic() * 1000
    fields = {"token": 7, "raw": stored(outgoing), "clock_offset_ms": offset, **changes}
    return RunRequest(id=outgoing.id, queue=outgoing.queue, **fields)


def make_executor(app: Windlass, **options: Any) -> Executor:
    """Return an executor of the app, without a way to raise soft limits unless given."""
    given = {"hostname": "w1@host", "soft_limit": None, "pool": "prefork", **options}
    return Executor(app, **given)
