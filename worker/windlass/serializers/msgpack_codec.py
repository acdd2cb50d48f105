"""msgpack: smaller than JSON, with bytes and integer keys of its own; other types are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from windlass.serializers.base import nested_too_deeply, not_this_format
from windlass.serializers.plain import only_plain
from windlass.serializers.typed import TYPE, Dialect, from_plain, to_plain

_DIALECT = Dialect(name="msgpack", has_bytes=True, has_nonfinite=True, int_bits=63, text_keys=False)
_SCALARS: frozenset[type] = frozenset({int, str, bool, type(None), bytes})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_MARKER = TYPE.encode()


class MsgpackSerializer:
    """msgpack by msgspec, with typed values marked as in JSON."""

    name = "msgpack"
    content_type = "application/x-msgpack"
    marker = b"m"

    def encode(self, value: Any, parts: Sequence[str] = ()) -> bytes:
        """See `Serializer.encode`."""
        try:
            if only_plain((value,), _SCALARS, _SCALARS):
                data = _encode(value)
                if _MARKER not in data:
                    return data
        except (ValueError, OverflowError):
            pass  # an int of more than 64 bits, a lone surrogate: the walk knows what to do
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
            raise not_this_format(data, "msgpack", error) from error
