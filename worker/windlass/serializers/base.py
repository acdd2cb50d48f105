"""What the engine asks of a serializer, and how the place of a bad value is written.

Implementations: `json_codec`, `msgpack_codec`, `pickle_codec`. Chosen by name in `registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from windlass.errors import DecodeError, EncodeError

#: Steps from the root of a value to a part of it: indexes and keys.
Path = tuple[object, ...]
#: Names of the parts of a message body, for error texts.
BODY_PARTS = ("args", "kwargs", "embed")


class Serializer(Protocol):
    """One format. Stateless and thread-safe.

    Attributes:
        name: As in `task_serializer` and `accept_content`.
        content_type: As on the wire.
        marker: The one byte that stands for the content type in stored results.
    """

    name: str
    content_type: str
    marker: bytes

    def encode(self, value: Any, parts: Sequence[str] = ()) -> bytes:
        """Turn a value into bytes.

        Args:
            value: Any value of the format's types.
            parts: Names of the members of `value` (a list) in error texts, e.g. "args".

        Raises:
            EncodeError: A part of the value has no representation; the text names its place.
        """

    def decode(self, data: bytes) -> Any:
        """Turn bytes into a value.

        Raises:
            DecodeError: The bytes are not of this format. Nothing else is raised.
        """


def place(path: Path, parts: Sequence[str] = ()) -> str:
    """Write a path as Python would: `args[0]['when']`.

    Args:
        path: Steps from the root.
        parts: Names for the root's members; without them the root is called "value".
    """
    if path and parts:
        first, *rest = path
        head = parts[first] if isinstance(first, int) and first < len(parts) else "value"
    else:
        head, rest = "value", list(path)
    return head + "".join(f"[{step!r}]" for step in rest)


def no_representation(
    value: object, path: Path, parts: Sequence[str], serializer: str
) -> EncodeError:
    """Build the error for a value of a type the format does not know."""
    kind = type(value)
    return EncodeError(
        f"{place(path, parts)} is of type {kind.__module__}.{kind.__qualname__}, which the "
        f"{serializer} serializer cannot represent. Expected None, bool, int, float, str, bytes, "
        "list, dict, datetime, date, time, timedelta, Decimal or UUID. Pass an id or plain data "
        "instead, or choose serializer='pickle' where every worker accepts it."
    )


def nested_too_deeply(serializer: str) -> EncodeError:
    """Build the error for a value that is too deep, or contains itself."""
    return EncodeError(
        f"The value is nested too deeply for the {serializer} serializer, or contains itself. "
        "Expected a tree of at most a few hundred levels. Flatten it."
    )


def not_this_format(data: bytes, format_name: str, error: Exception) -> DecodeError:
    """Build the error for bytes that are not what their content type says."""
    return DecodeError(
        f"{len(data):,} bytes cannot be decoded as {format_name}: {error}. Expected one complete "
        f"{format_name} value. The sender's content type is wrong, or the data is damaged."
    )
