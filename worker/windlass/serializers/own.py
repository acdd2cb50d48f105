"""A serializer of the user's own, made of two functions. Registered in `registry.register`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from windlass.errors import DecodeError, EncodeError

_BINARY = frozenset({"binary", "ascii-8bit"})


class OwnSerializer:
    """Implements `windlass.serializers.base.Serializer`; see `registry.register`."""

    #: In stored results: the content type is in the header.
    marker = b"x"

    def __init__(
        self,
        name: str,
        encoder: Callable[[Any], bytes | str],
        decoder: Callable[[Any], Any],
        content_type: str,
        content_encoding: str = "utf-8",
    ) -> None:
        self.name = name
        self.content_type = content_type
        self._encoder = encoder
        self._decoder = decoder
        self._encoding = None if content_encoding in _BINARY else content_encoding

    def encode(self, value: Any, parts: Sequence[str] = ()) -> bytes:
        """See `Serializer.encode`."""
        del parts
        try:
            data = self._encoder(value)
            return data if isinstance(data, bytes) else data.encode(self._encoding or "utf-8")
        except Exception as error:  # the user's code may raise anything
            msg = f"Serializer {self.name!r} cannot encode the value: {error!r}."
            raise EncodeError(msg) from error

    def decode(self, data: bytes) -> Any:
        """See `Serializer.decode`."""
        try:
            return self._decoder(data if self._encoding is None else data.decode(self._encoding))
        except Exception as error:  # the user's code may raise anything
            msg = f"Serializer {self.name!r} cannot decode {len(data):,} bytes: {error!r}."
            raise DecodeError(msg) from error
