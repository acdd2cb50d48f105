"""Reads the head of a message at little cost: heads that are equal are decoded once.

Calls of one task by one client outside of tasks differ only in id, times and body, so the bytes
between (queue, task, headers) are looked up. A head that names a parent is unlike any other and
is decoded without being kept.
"""

from __future__ import annotations

from typing import Any

import msgspec

from windlass import messages
from windlass.errors import DecodeError
from windlass.messages import FORMAT_VERSION, PREFIX_SIZE, Headers
from windlass.serializers.json_codec import JsonSerializer

#: Heads that are kept; a client process adds one for each task it calls.
_KEPT = 2048
_decode_headers = msgspec.json.Decoder(Headers).decode
#: Headers that are fields of a request under the same name.
_SAME_NAME = (
    "root_id",
    "parent_id",
    "retries",
    "origin",
    "group",
    "group_index",
    "shadow",
    "ignore_result",
    "reply_to",
    "replaced_task_nesting",
    "stamps",
    "stamped_headers",
    "headers",
    "correlation_id",
    "then",
)


class Head:
    """Queue, task and headers of a message.

    Attributes:
        queue: Name of the queue.
        task: Name of the task.
        headers: As sent; shared between messages, not to be changed.
        fields: What the headers say, as fields of a request; without timelimit, a list.
        is_json: The body is JSON, as it is.
        is_sealed: It is signed or encrypted: to be opened before anything else.
    """

    __slots__ = ("fields", "headers", "is_json", "is_sealed", "queue", "task")

    def __init__(self, queue: str, task: str, headers: Headers) -> None:
        self.queue = queue
        self.task = task
        self.headers = headers
        self.fields = _fields(task, queue, headers)
        self.is_sealed = headers.seal is not None
        is_plain = headers.content_encoding is None
        self.is_json = is_plain and headers.content_type == JsonSerializer.content_type


class Opener:
    """Opens messages, remembering the heads and addresses it has seen."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self._addresses: dict[bytes, tuple[str, str]] = {}

    def open(self, raw: bytes, body_at: int = 0) -> tuple[Head, bytes]:
        """Return the head and the body of a message.

        Args:
            raw: The stored bytes.
            body_at: Where the body begins, 0 if nobody has looked yet.

        Raises:
            DecodeError: The bytes are not a message, or of a version unknown here.
        """
        if body_at:
            head = self._heads.get(raw[PREFIX_SIZE:body_at])
            if head is not None:
                return head, raw[body_at:]
        try:
            task_at = PREFIX_SIZE + 1 + raw[PREFIX_SIZE]
            headers_at = task_at + 2 + int.from_bytes(raw[task_at : task_at + 2], "big")
            body_at = headers_at + 4 + int.from_bytes(raw[headers_at : headers_at + 4], "big")
            if raw[0] != FORMAT_VERSION or body_at > len(raw):
                return self._decode(raw)
        except IndexError:
            return self._decode(raw)
        key = raw[PREFIX_SIZE:body_at]
        head = self._heads.get(key)
        if head is None:
            address = self._addresses.get(raw[PREFIX_SIZE:headers_at])
            if address is None:
                self._decode(raw)  # raises where queue or task are not text
                address = self._learn(raw, headers_at)
            head = Head(*address, _headers(raw[headers_at + 4 : body_at]))
            if _is_common(head.headers):
                _make_room(self._heads)
                self._heads[key] = head
        return head, raw[body_at:]

    def _learn(self, raw: bytes, headers_at: int) -> tuple[str, str]:
        envelope = messages.open_envelope(raw)
        _make_room(self._addresses)
        address = self._addresses[raw[PREFIX_SIZE:headers_at]] = (envelope.queue, envelope.task)
        return address

    def _decode(self, raw: bytes) -> tuple[Head, bytes]:
        """Decode step by step, with an error that says which step fails."""
        message = messages.decode_message("", raw)
        return Head(message.queue, message.task, message.headers), message.body


def _headers(data: bytes) -> Headers:
    try:
        return _decode_headers(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text = f"Message headers cannot be decoded: {error}."
        raise DecodeError(text) from error


def _make_room(kept: dict[bytes, Any]) -> None:
    if len(kept) >= _KEPT:
        kept.clear()


def _is_common(headers: Headers) -> bool:
    """Tell whether other messages may have equal headers, and none can change them."""
    return not (
        headers.root_id
        or headers.parent_id
        or headers.retries
        or headers.headers
        or headers.stamps
        or headers.stamped_headers
        or headers.group
        or headers.then
    )


def _fields(task: str, queue: str, headers: Headers) -> dict[str, Any]:
    """Return the request's fields that differ from the defaults of `Context`."""
    fields: dict[str, Any] = {"task": task, "queue": queue, "called_directly": False}
    for name in _SAME_NAME:
        value = getattr(headers, name)
        if value is not None:
            fields[name] = value
    return fields


def timelimit_of(head: Head) -> tuple[float | None, float | None]:
    """Return the (hard, soft) limits that the message itself names."""
    return head.headers.timelimit or (None, None)


def decode_problem(raw: bytes, error: DecodeError) -> str:
    """Return the dead letter's reason for bytes that could not be opened."""
    is_newer = len(raw) > PREFIX_SIZE and raw[0] != FORMAT_VERSION
    return "unsupported_version" if is_newer else "undecodable"
