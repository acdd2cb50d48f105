"""Changes one dead letter and replays it, in one step: the same id, the next generation.

Only plain data is opened: JSON and msgpack. Nothing is unpickled, and a body that is signed or
encrypted is left alone, since a change would break its seal.
Next in the walk: `lua/replay_edited.lua`.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.control_plane.dead_letters import DeadLetter
from windlass.errors import ConfigurationError, DecodeError, WindlassError
from windlass.messages import Headers, Message, address, check_queue_name, encode_tail
from windlass.redis_store.scripts import script
from windlass.serializers.compression import TooLargeUnpackedError, decompress

_JSON, _MSGPACK = ("application/json", "json"), ("application/x-msgpack", "msgpack")
#: What a body may be unpacked to, bytes.
_MOST_BYTES = 64 * 1024 * 1024


class NotEditableError(WindlassError):
    """A dead letter that cannot be changed here."""

    def __init__(self, message_id: str, why: str) -> None:
        super().__init__(
            f"Dead letter {message_id!r} cannot be edited: {why}. Replay it as it is, or send the "
            "call anew and purge this one."
        )


class DeadLetterChangedError(WindlassError):
    """It is no dead letter any more, or is another one than the one that was changed."""

    def __init__(self, message_id: str) -> None:
        super().__init__(
            f"Dead letter {message_id!r} was replayed, purged or changed by somebody else "
            "meanwhile; nothing was done. Look at it again: windlass dlq show."
        )


class Edit(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What can be changed of a message. Times are in seconds.

    Attributes:
        task: Name.
        queue: Where it goes.
        args: Positional arguments, as JSON has them.
        kwargs: Keyword arguments.
        priority: 0 to 9.
        time_limit: Hard limit of this call, None for the task's own.
        soft_time_limit: Likewise.
        ignore_result: None for the task's own.
        shadow: Name in logs instead of the task's.
        headers: The caller's own headers.
    """

    task: str
    queue: str
    args: list[Any]
    kwargs: dict[str, Any]
    priority: int = 0
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    shadow: str | None = None
    headers: dict[str, Any] | None = None


def open_edit(letter: DeadLetter) -> Edit:
    """Return what can be changed of a dead letter, as it is now.

    Raises:
        NotEditableError: Its bytes cannot be read, or are not plain data.
    """
    message, args, kwargs, _ = _opened(letter)
    hard_s, soft_s = message.headers.timelimit or (None, None)
    return Edit(
        task=message.task,
        queue=message.queue,
        args=args,
        kwargs=kwargs,
        priority=message.priority,
        time_limit=hard_s,
        soft_time_limit=soft_s,
        ignore_result=message.headers.ignore_result,
        shadow=message.headers.shadow,
        headers=message.headers.headers,
    )


def read_edit(document: bytes | str) -> Edit:
    """Read an edit that somebody has written, as JSON.

    Raises:
        ConfigurationError: It is not what an edit is.
    """
    try:
        return msgspec.json.decode(document, type=Edit)
    except msgspec.DecodeError as error:
        text = f"This is no call: {error}. Expected the fields that were there, as JSON."
        raise ConfigurationError(text) from error


def replay_edited(broker: RedisBroker | MemoryBroker, letter: DeadLetter, edit: Edit) -> None:
    """Replay a dead letter as it was changed: at once, or not at all.

    Its history keeps a SHA-256 of the bytes before. Counters, retries, expiry and the stored
    outcome are forgotten, as by `replay`.

    Args:
        broker: Where.
        letter: As `show_dead` returned it.
        edit: What it is from now on.

    Raises:
        ConfigurationError: A value is out of its range.
        NotEditableError: See `open_edit`.
        DeadLetterChangedError: It is no dead letter any more, or another one.
    """
    tail, digest = _tail(letter, edit), hashlib.sha256(letter.raw).hexdigest()
    if isinstance(broker, MemoryBroker):
        done = memory.replay_edited(broker, letter, (edit.queue, edit.priority, tail), digest)
    else:
        keys, q, to = broker.keys, broker.keys.queue(letter.queue), broker.keys.queue(edit.queue)
        touched = (
            keys.messages, keys.attempts, q.dead, q.obits, keys.revoked, keys.signals,
            keys.result(letter.id), keys.queues, to.ready[edit.priority], to.scheduled, to.wake,
            to.idle,
        )  # fmt: skip
        seen = hashlib.sha1(letter.raw, usedforsecurity=False).hexdigest()
        args = (broker.commands.now, letter.id, seen, digest, edit.queue, edit.priority, tail)
        done = broker.links.call([script("replay_edited").command(touched, args)])[0] == 1
    if not done:
        raise DeadLetterChangedError(letter.id)


def _tail(letter: DeadLetter, edit: Edit) -> bytes:
    message, args, kwargs, embed = _opened(letter)
    if not 0 <= edit.priority <= 9:
        raise ConfigurationError(f"Priority {edit.priority} of an edit; expected 0 to 9.")
    if not edit.task:
        raise ConfigurationError("An edit names no task; expected the name of one.")
    check_queue_name(edit.queue)
    headers, body = _headers(message.headers, edit), message.body
    if (edit.args, edit.kwargs) != (args, kwargs):
        encode = msgspec.json.encode if _is(headers, _JSON) else msgspec.msgpack.encode
        body = encode((edit.args, edit.kwargs, embed))
        headers.content_encoding = None
    return encode_tail(address(edit.queue, edit.task), headers, body)


def _headers(headers: Headers, edit: Edit) -> Headers:
    limits = (edit.time_limit, edit.soft_time_limit)
    return msgspec.structs.replace(
        headers,
        retries=0,
        timelimit=None if limits == (None, None) else limits,
        ignore_result=edit.ignore_result,
        shadow=edit.shadow,
        headers=edit.headers,
    )


def _opened(letter: DeadLetter) -> tuple[Message, list[Any], dict[str, Any], Any]:
    message = letter.message
    if message is None:
        raise NotEditableError(letter.id, "its bytes are no message that this version can read")
    if message.headers.seal is not None:
        raise NotEditableError(letter.id, "it is signed or encrypted, and a change breaks its seal")
    if message.headers.failing is not None:
        raise NotEditableError(letter.id, "it only tells its task that another one has failed")
    try:
        args, kwargs, embed = _body(letter.id, message)
    except (DecodeError, TooLargeUnpackedError, msgspec.DecodeError) as error:
        raise NotEditableError(letter.id, f"its body cannot be read ({error})") from error
    except (TypeError, ValueError) as error:
        raise NotEditableError(letter.id, "its body is not arguments of a call") from error
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise NotEditableError(letter.id, "its body is not arguments of a call")
    return message, args, kwargs, embed


def _body(message_id: str, message: Message) -> Any:
    headers, body = message.headers, message.body
    if not (_is(headers, _JSON) or _is(headers, _MSGPACK)):
        raise NotEditableError(message_id, f"its content type is {headers.content_type}")
    if headers.content_encoding is not None:
        body = decompress(body, headers.content_encoding, _MOST_BYTES)
    if _is(headers, _JSON):
        return msgspec.json.decode(body)
    value = msgspec.msgpack.decode(body)
    if msgspec.json.decode(msgspec.json.encode(value)) != value:
        raise NotEditableError(message_id, "its arguments are more than JSON can say")
    return value


def _is(headers: Headers, names: tuple[str, str]) -> bool:
    return headers.content_type in names
