"""What a row of the outbox holds: the finished message, so that publishing it needs no app code."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from windlass import sending
from windlass.errors import DecodeError
from windlass.messages import Outgoing, check_queue_name, open_envelope
from windlass.plans import sealing_in
from windlass.publishing import Call
from windlass.signatures import Signature

if TYPE_CHECKING:
    from windlass.app import Windlass
    from windlass.task import Task

#: Locks under which a message takes the arguments of a later one.
_MERGED = frozenset({"debounce", "throttle"})
#: Expired whatever the clock says.
_LONG_AGO_MS = 1


class Row(NamedTuple):
    """One row.

    Attributes:
        id: The task's id, and so that of the message.
        task: Its name, for people.
        queue: Where it goes, for people.
        message: The encoded `windlass.messages.Outgoing`.
        created_ms: When it was written, by the writer's clock.
    """

    id: str
    task: str
    queue: str
    message: bytes
    created_ms: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Outgoing).decode


def make_row(
    app: Windlass,
    task: Task[..., Any] | Signature[Any] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Row:
    """Build the row of one call: everything that can be wrong with it is said here.

    Args:
        app: Whose routes and settings apply.
        task: A task, its name, or a signature (of one task) with options.
        args: Positional arguments.
        kwargs: Keyword arguments.

    Raises:
        TypeError: The arguments do not fit the task, it is a chain, group or chord, or it is
            debounced while messages are signed.
        EncodeError: An argument has no representation in the serializer.
        MessageTooLarge: The message is over task_max_size_bytes.
    """
    call = _call(app, task, args, kwargs)
    outgoing = sending.build(app, *call, locks=True)
    unique = outgoing.unique
    if unique is not None and unique.until in _MERGED and sealing_in(app.conf.current) is not None:
        text = (
            f"Task {call.name!r} is debounced or throttled, and messages are signed or encrypted: "
            "a later call would have to be sealed for the id of the one that waits, which a relay "
            "cannot do. Expected another way to send it, such as delay_on_commit."
        )
        raise TypeError(text)
    return Row(outgoing.id, call.name, outgoing.queue, _encode(outgoing), round(time.time() * 1000))


def message_in(row: Row, now_ms: int) -> Outgoing:
    """Return the message of a row, its countdown and expiry less the time since it was written.

    Raises:
        DecodeError: It is no message.
    """
    try:
        outgoing = _decode(row.message)
        check_queue_name(outgoing.queue)
        open_envelope(b"\x010" + bytes(18) + outgoing.tail)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DecodeError(f"The row holds no message of this version: {error}.") from error
    waited_ms = max(0, now_ms - row.created_ms)
    outgoing.id = row.id
    outgoing.once = True  # it may be here for the second time
    if outgoing.delay_ms is not None:
        outgoing.delay_ms = max(0, outgoing.delay_ms - waited_ms) or None
    if outgoing.ttl_ms is not None:
        left_ms = outgoing.ttl_ms - waited_ms
        outgoing.ttl_ms = left_ms if left_ms > 0 else None
        outgoing.expires_at_ms = None if left_ms > 0 else _LONG_AGO_MS
    return outgoing


def _call(
    app: Windlass,
    task: Task[..., Any] | Signature[Any] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Call:
    if isinstance(task, str):
        return Call(task, app.tasks.get(task), args, kwargs, {}, checks=False)
    if not isinstance(task, Signature):
        return Call(task.name, task, args, kwargs, {})
    if task.subtask_type is not None:
        text = (
            f"A {task.subtask_type} cannot be put into an outbox: it is more than one message. "
            "Expected a task; let that one send the workflow."
        )
        raise TypeError(text)
    merged_args, merged_kwargs, options = task.merged(tuple(args), dict(kwargs), {})
    return Call(task.task, app.tasks.get(task.task), merged_args, merged_kwargs, options)
