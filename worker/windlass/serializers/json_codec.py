"""JSON: the default. Plain values take one pass in C; others are marked first (see `typed`).

msgspec writes datetimes, UUIDs, decimals and bytes as bare strings and NaN as null, which would not
come back as they went. So a value goes to it directly only if it holds nothing but JSON's own
types, which is looked up at C speed; the check costs less than the encoding of most payloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from windlass.serializers.base import nested_too_deeply, not_this_format
from windlass.serializers.plain import only_plain
from windlass.serializers.typed import Dialect, from_plain, to_plain

_DIALECT = Dialect(name="json", has_bytes=False, has_nonfinite=False, int_bits=8192, text_keys=True)
_SCALARS: frozenset[type] = frozenset({int, str, bool, type(None)})
_KEYS: frozenset[type] = frozenset({str})
_only_scalars = _SCALARS.issuperset
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_body = msgspec.json.Decoder(tuple[list[Any], dict[str, Any], dict[str, Any]]).decode
_MARKER = b'"__type__"'


class JsonSerializer:
    """JSON by msgspec, with typed values marked as kombu marks them."""

    name = "json"
    content_type = "application/json"
    marker = b"j"

    def encode(self, value: Any, parts: Sequence[str] = ()) -> bytes:
        """See `Serializer.encode`."""
        try:
            if only_plain((value,), _SCALARS, _KEYS):
                data = _encode(value)
                if _MARKER not in data:  # else a user's dict looks like a marker: escape it
                    return data
        except (ValueError, OverflowError):
            pass  # a huge int, a lone surrogate: the walk below knows what to do
        except RecursionError:
            raise nested_too_deeply(self.name) from None
        try:
            return _encode(to_plain(value, _DIALECT, (), parts))
        except RecursionError:
            raise nested_too_deeply(self.name) from None

    def decode(self, data: bytes) -> Any:
        """See `Serializer.decode`."""
        try:
            value = _decode(data)
            return from_plain(value) if _MARKER in data else value
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise not_this_format(data, "JSON", error) from error


def decode_plain_body(data: bytes) -> tuple[list[Any], dict[str, Any], dict[str, Any]] | None:
    """Decode a body without typed values, the commonest of all, or return None."""
    if _MARKER in data:
        return None
    try:
        return _decode_body(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None  # the other way says what is wrong with it


def encode_flat_body(
    args: Sequence[Any], kwargs: Mapping[str, Any], embed: Mapping[str, Any]
) -> bytes | None:
    """Encode the body of a call with scalar arguments, the commonest of all, or return None."""
    if (
        not embed
        and _only_scalars(map(type, args))
        and (not kwargs or _only_scalars(map(type, kwargs.values())))
    ):
        try:
            data = _encode((args, kwargs, embed))
        except (ValueError, TypeError):
            return None
        return None if _MARKER in data else data
    return None
