"""Typed values inside formats that lack their types: a marked dict stands for the value.

    {"__type__": "decimal", "__value__": "1.10"}

The forms of datetime, date, time, decimal, uuid, bytes and base64 are those of kombu, so both
sides of a mixed fleet read each other. A dict of the user's that looks like a marker is escaped as
`{"__type__": "dict", "__value__": [[key, value], ...]}`, so that every value comes back as it went.

What changes on the way, as with Celery: tuples, sets and other sequences become lists, enums their
value, subclasses their base, a time zone its offset; with JSON, the keys of dicts become strings.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from windlass.errors import DecodeError, EncodeError
from windlass.serializers.base import Path, no_representation, place

TYPE = "__type__"
VALUE = "__value__"
_MARKED = {TYPE, VALUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a format can say without markers.

    Attributes:
        name: The serializer's name, for error texts.
        has_bytes: bytes have a form of their own.
        has_nonfinite: NaN and the infinities have one.
        int_bits: Integers of more bits need a marker.
        text_keys: Keys of dicts can be strings only.
    """

    name: str
    has_bytes: bool
    has_nonfinite: bool
    int_bits: int
    text_keys: bool


def marked(kind: str, value: object) -> dict[str, object]:
    """Return the marked dict for a value of this kind."""
    return {TYPE: kind, VALUE: value}


def _text_or_base64(value: bytes) -> dict[str, object]:
    try:
        return marked("bytes", value.decode())
    except UnicodeDecodeError:
        return marked("base64", base64.b64encode(value).decode())


# In order: a datetime is a date too.
_HOOKS: tuple[tuple[type, Callable[[Any], object]], ...] = (
    (datetime, lambda v: marked("datetime", v.isoformat())),
    (date, lambda v: marked("date", v.isoformat())),
    (time, lambda v: marked("time", v.isoformat())),
    (timedelta, lambda v: marked("timedelta", [v.days, v.seconds, v.microseconds])),
    (Decimal, lambda v: marked("decimal", str(v))),
    (UUID, lambda v: marked("uuid", {"hex": v.hex})),
)


def to_plain(value: Any, dialect: Dialect, path: Path = (), parts: Sequence[str] = ()) -> Any:
    """Return a copy of the value in which everything the format lacks is marked.

    Args:
        value: Any value.
        dialect: The format.
        path: Where `value` is in the whole.
        parts: Names of the members of the root, for error texts.

    Raises:
        EncodeError: A part has no representation; the text names its place.
        RecursionError: The value is too deep, or contains itself.
    """
    if isinstance(value, Enum):
        return to_plain(value.value, dialect, path, parts)
    if isinstance(value, Mapping):
        return _mapping(value, dialect, path, parts)
    if isinstance(value, list | tuple | set | frozenset):
        return [to_plain(v, dialect, (*path, i), parts) for i, v in enumerate(value)]
    return _scalar(value, dialect, path, parts)


def _scalar(value: Any, dialect: Dialect, path: Path, parts: Sequence[str]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _checked_text(value, path, parts)
    if isinstance(value, int | float):
        return _number(value, dialect)
    if isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        return data if dialect.has_bytes else _text_or_base64(data)
    return _other(value, dialect, path, parts)


def _other(value: Any, dialect: Dialect, path: Path, parts: Sequence[str]) -> Any:
    for kind, hook in _HOOKS:
        if isinstance(value, kind):
            return hook(value)
    reducer = getattr(type(value), "__json__", None)  # kombu's protocol for own classes
    if reducer is not None:
        return to_plain(reducer(value), dialect, path, parts)
    raise no_representation(value, path, parts, dialect.name)


def _checked_text(value: str, path: Path, parts: Sequence[str]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _lone_surrogate(error, path, parts) from error
    return str.__str__(value)  # the base class's: a subclass may have its own idea


def _lone_surrogate(error: UnicodeEncodeError, path: Path, parts: Sequence[str]) -> EncodeError:
    return EncodeError(
        f"{place(path, parts)} is a string with a lone surrogate at {error.start}, which UTF-8 "
        "cannot carry. Expected valid text. Pass bytes instead (os.fsencode for file names)."
    )


def _number(value: float, dialect: Dialect) -> object:
    if isinstance(value, int):
        value = int.__int__(value)
        signed_bits = value.bit_length() + (value < 0)
        return marked("int", hex(value)) if signed_bits > dialect.int_bits else value
    value = float.__float__(value)
    return value if dialect.has_nonfinite or math.isfinite(value) else marked("float", str(value))


def _mapping(
    value: Mapping[Any, Any], dialect: Dialect, path: Path, parts: Sequence[str]
) -> dict[Any, Any]:
    result = {}
    for key, member in value.items():
        step = (*path, key)
        plain_key = _text_key(key, dialect, step, parts) if dialect.text_keys else key
        if not dialect.text_keys and not isinstance(key, str | int | float | bytes | None):
            raise _bad_key(key, step, parts)
        if isinstance(plain_key, str):
            plain_key = _checked_text(plain_key, step, parts)
        result[plain_key] = to_plain(member, dialect, step, parts)
    if result.keys() == _MARKED:
        return marked("dict", [[k, v] for k, v in result.items()])
    return result


def _text_key(key: object, dialect: Dialect, path: Path, parts: Sequence[str]) -> str:
    if isinstance(key, Enum):
        return _text_key(key.value, dialect, path, parts)
    if isinstance(key, str):
        return key
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, int | float):
        return repr(key)
    raise _bad_key(key, path, parts)


def _bad_key(key: object, path: Path, parts: Sequence[str]) -> EncodeError:
    return EncodeError(
        f"The key of {place(path, parts)} is of type {type(key).__name__}. Expected str, int, "
        "float, bool or None. Convert the keys, or pass a list of pairs."
    )


_DECODERS: dict[str, Callable[[Any], object]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda v: datetime.fromisoformat(v).date(),
    "time": time.fromisoformat,
    "timedelta": lambda v: timedelta(days=v[0], seconds=v[1], microseconds=v[2]),
    "decimal": lambda v: Decimal(_text(v)),
    "uuid": lambda v: UUID(hex=v["hex"]),
    "bytes": lambda v: v.encode(),
    "base64": lambda v: base64.b64decode(v, validate=True),
    "int": lambda v: int(_text(v), 16),
    "float": lambda v: float(_text(v)),
    "dict": dict,
}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value


def from_plain(value: Any) -> Any:
    """Replace marked dicts by what they stand for, in place where that can be.

    Raises:
        DecodeError: A marker is unknown, or its value is not what it should be.
    """
    if isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, dict | list):
                value[key] = from_plain(member)
        return _unmark(value) if value.keys() == _MARKED else value
    if isinstance(value, list):
        value[:] = [from_plain(v) if isinstance(v, dict | list) else v for v in value]
    return value


def _unmark(value: dict[str, Any]) -> object:
    kind = value[TYPE]
    decoder = _DECODERS.get(kind) if isinstance(kind, str) else None
    if decoder is None:
        raise _unknown_kind(kind)
    try:
        return decoder(value[VALUE])
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as error:
        raise _damaged(kind, error) from error


def _unknown_kind(kind: object) -> DecodeError:
    return DecodeError(
        f"Unknown typed value {kind!r}. Expected one of: {', '.join(sorted(_DECODERS))}. It was "
        "written by another version, or by a producer with types of its own."
    )


def _damaged(kind: object, error: Exception) -> DecodeError:
    return DecodeError(
        f"The value of a typed {kind!r} is damaged: {error!r}. Expected what the serializer of "
        "that type writes."
    )
