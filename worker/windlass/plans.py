"""What a call's options decide, kept: queue, times, headers, address, how its body is written.

Built in `windlass.sending`, which is next in the walk.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from windlass import context, messages
from windlass.errors import MessageTooLarge
from windlass.message_ids import new_id
from windlass.messages import Headers, Outgoing
from windlass.serializers import compression, registry
from windlass.serializers.base import BODY_PARTS

#: Plans of one key that are kept.
_KEYS_KEPT = 2000

if TYPE_CHECKING:
    from windlass.argument_keys import KeyMaker
    from windlass.context import Context
    from windlass.sealing.seals import Seals
    from windlass.settings.model import Settings
    from windlass.uniqueness import Locks


class Plan:
    """What the options of a call decide, worked out and encoded as far as possible.

    Attributes:
        settings: The settings it was made from; with others it has to be made anew.
        pid: The process that made it, since the headers name it.
        times: An Outgoing without id and tail: queue, priority and times.
        headers: As sent when no task runs here.
        head: `headers` and the address, encoded.
        is_placed: The options name root or parent themselves.
        seals: What signs and encrypts; None: nothing does.
        locks: Makes the locks of unique calls; None: they are not.
        keys: Makes the keys by which limits count calls; None: they have none.
    """

    __slots__ = (
        "address",
        "compression",
        "embed",
        "encode",
        "head",
        "headers",
        "is_placed",
        "keys",
        "limit",
        "locks",
        "of_keys",
        "pid",
        "seals",
        "settings",
        "times",
    )

    def __init__(self, settings: Settings, times: Outgoing, headers: Headers, name: str) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.times = times
        self.headers = headers
        self.address = messages.address(times.queue, name)
        self.head = messages.encode_tail(self.address, headers, b"")
        self.is_placed = headers.root_id is not None or headers.parent_id is not None
        self.embed: dict[str, Any] = {}
        self.encode = registry.serializer_named("json").encode
        self.limit = settings.task_max_size_bytes
        self.compression: str | None = None
        self.locks: Locks | None = None
        self.keys: KeyMaker | None = None
        self.of_keys: dict[str, Plan] = {}
        self.seals = sealing_in(settings)

    def message(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], message_id: str | None = None
    ) -> Outgoing:
        """Build the message of one call.

        Raises:
            EncodeError: An argument has no representation in the serializer.
            MessageTooLarge: The message is over task_max_size_bytes.
            ValueError: The task has limits for each key, and these arguments have none.
        """
        if self.keys is not None:
            # One without a key says so: else a worker would look for it.
            return self.of_key(self.keys(args, kwargs) or "").message(args, kwargs, message_id)
        body = self.encode((args, kwargs, self.embed), BODY_PARTS)
        parent = context.sending_request()
        if self.seals is not None:
            message_id = message_id or new_id()
            tail = self._sealed(message_id, body, parent, self.seals)
        elif self.compression is not None and len(body) >= compression.MIN_BYTES:
            tail = self._compressed(body, parent, self.compression)
        elif parent is None or self.is_placed:
            tail = self.head + body
        else:
            headers = child_headers(self.headers, parent)
            tail = messages.encode_tail(self.address, headers, body)
        if len(tail) > self.limit:
            raise self._too_large(len(tail))
        times = self.times
        return Outgoing(
            id=message_id or new_id(),
            queue=times.queue,
            tail=tail,
            priority=times.priority,
            delay_ms=times.delay_ms,
            eta_ms=times.eta_ms,
            ttl_ms=times.ttl_ms,
            expires_at_ms=times.expires_at_ms,
        )

    def of_key(self, key: str) -> Plan:
        """Return the plan of calls with this key of limits."""
        plan = self.of_keys.get(key)
        if plan is None:
            plan = copy.copy(self)
            plan.keys = None
            plan.headers = msgspec.structs.replace(self.headers, key=key)
            plan.head = messages.encode_tail(self.address, plan.headers, b"")
            if len(self.of_keys) >= _KEYS_KEPT:
                self.of_keys.clear()
            self.of_keys[key] = plan
        return plan

    def tail(self, message_id: str, headers: Headers, body: bytes) -> bytes:
        """Build the tail of a message with headers of its own, sealed if that is to be."""
        if self.seals is None:
            return messages.encode_tail(self.address, headers, body)
        # As in `_sealed`.
        from windlass.sealing.places import seal_tail  # noqa: PLC0415

        head = messages.encode_tail(self.address, headers, b"")
        return seal_tail(self.seals, message_id, head, body)

    def _sealed(self, message_id: str, body: bytes, parent: Context | None, seals: Seals) -> bytes:
        """Build a tail with its body signed or encrypted."""
        # Clients without signing do without it.
        from windlass.sealing.places import seal_tail  # noqa: PLC0415

        headers = self.headers
        if parent is not None and not self.is_placed:
            headers = child_headers(headers, parent)
        if self.compression is not None and len(body) >= compression.MIN_BYTES:
            if len(self.head) + len(body) > self.limit:
                raise self._too_large(len(self.head) + len(body))
            headers = msgspec.structs.replace(headers, content_encoding=self.compression)
            body = compression.compress(body, self.compression)
        head = self.head
        if headers is not self.headers:
            head = messages.encode_tail(self.address, headers, b"")
        return seal_tail(seals, message_id, head, body)

    def _compressed(self, body: bytes, parent: Context | None, encoding: str) -> bytes:
        """Build a tail with its body made smaller; the cap is that of what it holds."""
        if len(self.head) + len(body) > self.limit:
            raise self._too_large(len(self.head) + len(body))
        headers = self.headers
        if parent is not None and not self.is_placed:
            headers = child_headers(headers, parent)
        headers = msgspec.structs.replace(headers, content_encoding=encoding)
        return messages.encode_tail(self.address, headers, compression.compress(body, encoding))

    def _too_large(self, size_bytes: int) -> MessageTooLarge:
        what = f"A message for queue {self.times.queue!r}"
        return MessageTooLarge(what, size_bytes, self.limit, "task_max_size_bytes")

    def place(self, **headers: Any) -> None:
        """Keep root and parent as the options say, and change other headers."""
        self.of_keys = {}
        self.headers = msgspec.structs.replace(self.headers, **headers)
        self.head = messages.encode_tail(self.address, self.headers, b"")
        self.is_placed = True


def sealing_in(settings: Settings) -> Seals | None:
    """Return what signs or encrypts what is sent, None where nothing is to be."""
    seals = settings.seals
    return seals if seals is not None and seals.seals else None


def child_headers(headers: Headers, parent: Context) -> Headers:
    """Return the headers of a message that a task sends: its place in the tree, and its stamps."""
    headers = msgspec.structs.replace(
        headers, root_id=parent.root_id or parent.id, parent_id=parent.id
    )
    if parent.stamps:
        headers.stamps = {**parent.stamps, **(headers.stamps or {})}
        headers.stamped_headers = sorted(headers.stamps)
    return headers
