"""Builders of messages with every field filled; a test names only what it is about."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from windlass.messages import Headers, Outgoing, address, encode_tail


def make_body(args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None) -> bytes:
    """Encode a JSON body as a client would: [args, kwargs, embed]."""
    return msgspec.json.encode([list(args), dict(kwargs or {}), {}])


def make_message(
    task: str = "tests.noop",
    *,
    id: str | None = None,
    queue: str = "default",
    args: Sequence[object] = (),
    kwargs: Mapping[str, object] | None = None,
    body: bytes | None = None,
    headers: Headers | None = None,
    **times: Any,
) -> Outgoing:
    """Build a message. `times`: priority, delay_ms, eta_ms, ttl_ms, expires_at_ms."""
    encoded = make_body(args, kwargs) if body is None else body
    return Outgoing(
        id=id or str(uuid.uuid4()),
        queue=queue,
        tail=encode_tail(address(queue, task), headers or Headers(), encoded),
        **times,
    )


def make_messages(count: int, task: str = "tests.noop", **options: Any) -> list[Outgoing]:
    """Build many; their only argument is their index."""
    return [make_message(task, args=(index,), **options) for index in range(count)]
