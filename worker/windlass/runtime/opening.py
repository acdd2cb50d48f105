"""Reads the head of a message at little cost: heads that are equal are decoded once.

Calls of one task by one client outside of tasks differ only in id, times and body, so the bytes
between (queue, task, headers) are looked up. A head that names a parent is unlike any other and
is decoded without being kept.
"""

from __future__ import annotations

from typing import Any

from windlass import messages
from windlass.errors import DecodeError
from windlass.messages import PREFIX_SIZE, Headers

#: Heads that are kept; a client process adds one for each task it calls.
_KEPT = 2048


class Head:
    """Queue, task and headers of a message.

    Attributes:
        queue: Name of the queue.
        task: Name of the task.
        headers: As sent; shared between messages, not to be changed.
        fields: What the headers say, as fields of a request; None where defaults apply to all.
    """

    __slots__ = ("fields", "headers", "queue", "task")

    def __init__(self, queue: str, task: str, headers: Headers) -> None:
        self.queue = queue
        self.task = task
        self.headers = headers
        self.fields = _fields(task, queue, headers)


class Opener:
    """Opens messages, remembering the heads it has seen."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def open(self, raw: bytes) -> tuple[Head, bytes]:
        """Return the head and the body of a message.

        Raises:
            DecodeError: The bytes are not a message, or of a version unknown here.
        """
        try:
            task_at = PREFIX_SIZE + 1 + raw[PREFIX_SIZE]
            headers_at = task_at + 2 + int.from_bytes(raw[task_at : task_at + 2], "big")
            body_at = headers_at + 4 + int.from_bytes(raw[headers_at : headers_at + 4], "big")
            head = self._heads.get(raw[PREFIX_SIZE:body_at])
        except IndexError:
            head, body_at = None, 0
        if head is not None and raw[0] == messages.FORMAT_VERSION:
            return head, raw[body_at:]
        return self._decode(raw, body_at)

    def _decode(self, raw: bytes, body_at: int) -> tuple[Head, bytes]:
        message = messages.decode_message("", raw)
        head = Head(message.queue, message.task, message.headers)
        if _is_common(message.headers):
            if len(self._heads) >= _KEPT:
                self._heads.clear()
            self._heads[raw[PREFIX_SIZE:body_at]] = head
        return head, message.body


def _is_common(headers: Headers) -> bool:
    """Tell whether other messages may have equal headers, and none can change them."""
    return not (
        headers.root_id
        or headers.parent_id
        or headers.retries
        or headers.headers
        or headers.stamps
        or headers.group
    )


def _fields(task: str, queue: str, headers: Headers) -> dict[str, Any]:
    """Return the request's fields that differ from the defaults of `Context`."""
    fields: dict[str, Any] = {"task": task, "queue": queue, "called_directly": False}
    for name in (
        "root_id",
        "parent_id",
        "group",
        "group_index",
        "retries",
        "shadow",
        "origin",
        "ignore_result",
        "reply_to",
        "replaced_task_nesting",
        "stamps",
        "stamped_headers",
        "headers",
    ):
        value = getattr(headers, name)
        if value:
            fields[name] = value
    if headers.correlation_id is not None:
        fields["correlation_id"] = headers.correlation_id
    if headers.timelimit is not None:
        fields["timelimit"] = list(headers.timelimit)
    return fields


def timelimit_of(head: Head) -> tuple[float | None, float | None]:
    """Return the (hard, soft) limits that the message itself names."""
    return head.headers.timelimit or (None, None)


def decode_problem(raw: bytes, error: DecodeError) -> str:
    """Return the dead letter's reason for bytes that could not be opened."""
    is_newer = len(raw) > PREFIX_SIZE and raw[0] != messages.FORMAT_VERSION
    return "unsupported_version" if is_newer else "undecodable"
