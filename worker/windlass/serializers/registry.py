"""Choosing a serializer: by name when encoding, by content type and permission when decoding.

Guarantee: `decode` raises DecodeError or ContentDisallowed and nothing else, whatever the bytes
are, and runs no code from them unless accept_content names pickle.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from windlass.errors import ConfigurationError, ContentDisallowed, nearest
from windlass.released import PICKLED_PARTS, take_pieces
from windlass.serializers.base import BODY_PARTS, Serializer, not_this_format
from windlass.serializers.json_codec import JsonSerializer, encode_flat_body
from windlass.serializers.msgpack_codec import MsgpackSerializer
from windlass.serializers.own import OwnSerializer
from windlass.serializers.pickle_codec import PickleSerializer

_ALL: tuple[Serializer, ...] = (JsonSerializer(), MsgpackSerializer(), PickleSerializer())
_BY_NAME: dict[str, Serializer] = {s.name: s for s in _ALL}
_BY_CONTENT_TYPE: dict[str, Serializer] = {s.content_type: s for s in _ALL}
_BY_MARKER: dict[bytes, Serializer] = {s.marker: s for s in _ALL}

#: What `task_serializer`, `result_serializer` and `accept_content` may name; `register` adds to it.
NAMES = _BY_NAME.keys()


def register(
    name: str,
    encoder: Callable[[Any], bytes | str],
    decoder: Callable[[Any], Any],
    content_type: str,
    content_encoding: str = "utf-8",
) -> None:
    """Make a serializer of the user's known, in clients and workers alike; kombu's arguments.

    Args:
        name: For task_serializer, result_serializer, serializer= and accept_content.
        encoder: Turns a value into bytes or text.
        decoder: The way back.
        content_type: As on the wire. A worker decodes it only if accept_content names it.
        content_encoding: "binary", or the encoding of its text: the decoder then gets a str.

    Raises:
        ConfigurationError: Name or content type belong to another serializer.
    """
    taken = _BY_NAME.get(name) or _BY_CONTENT_TYPE.get(content_type)
    if taken is not None and not isinstance(taken, OwnSerializer):
        msg = f"{name!r} or {content_type!r} is a serializer of ours. Choose another."
        raise ConfigurationError(msg)
    own = OwnSerializer(name, encoder, decoder, content_type, content_encoding)
    _BY_NAME[name] = _BY_CONTENT_TYPE[content_type] = own


def unregister(name: str) -> None:
    """Forget a serializer of the user's; nothing happens where there is none."""
    found = _BY_NAME.get(name)
    if isinstance(found, OwnSerializer):
        del _BY_NAME[name], _BY_CONTENT_TYPE[found.content_type]


def serializer_named(name: str) -> Serializer:
    """Return the serializer of this name.

    Raises:
        ConfigurationError: There is none; the text names the nearest.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: object) -> ConfigurationError:
    return ConfigurationError(
        f"Unknown serializer {name!r}. Expected one of: {', '.join(sorted(NAMES))}."
        f"{nearest(str(name), NAMES)}"
    )


def content_type_of(name: str) -> str:
    """Return the content type of a serializer, e.g. "application/json" of "json".

    Raises:
        ConfigurationError: There is no serializer of this name.
    """
    return serializer_named(name).content_type


def content_types(accept: Iterable[str]) -> frozenset[str]:
    """Turn the names or content types of an accept_content setting into content types.

    Raises:
        ConfigurationError: One of them is neither a name nor a content type known here.
    """
    return frozenset(item if item in _BY_CONTENT_TYPE else content_type_of(item) for item in accept)


def encode(value: Any, serializer: str = "json") -> bytes:
    """Turn a value into bytes.

    Args:
        value: Any value of the serializer's types.
        serializer: "json", "msgpack" or "pickle".

    Raises:
        EncodeError: A part has no representation; the text names its place.
        ConfigurationError: There is no serializer of this name.
    """
    return serializer_named(serializer).encode(value)


def encode_marked(value: Any, marker: str) -> bytes:
    """Turn a value into bytes by the serializer of a marker: "j", "m" or "p".

    Raises:
        EncodeError: A part has no representation; the text names its place.
    """
    return _BY_MARKER[marker.encode()].encode(value)


def encode_body(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    embed: Mapping[str, Any],
    serializer: str = "json",
) -> bytes:
    """Encode the body of a message, `[args, kwargs, embed]`.

    Raises:
        EncodeError: A part has no representation; the text names it, e.g. `args[0]['when']`.
        ConfigurationError: There is no serializer of this name.
    """
    if serializer == "json" and (flat := encode_flat_body(args, kwargs, embed)) is not None:
        return flat
    return serializer_named(serializer).encode([args, kwargs, embed], BODY_PARTS)


def decode(data: bytes, content_type: str, accept: Collection[str]) -> Any:
    """Turn bytes into a value, if their content type is accepted.

    Args:
        data: What was stored or sent.
        content_type: What the sender said it is.
        accept: Names or content types, as in accept_content.

    Raises:
        ContentDisallowed: The content type is not accepted, or is unknown here.
        DecodeError: The bytes are not what the content type says.
    """
    serializer = _BY_CONTENT_TYPE.get(content_type)
    if serializer is None and content_type == PICKLED_PARTS:
        return _decode_parts(data, accept)
    if serializer is None or (serializer.name not in accept and content_type not in accept):
        raise ContentDisallowed(content_type, accept)
    return serializer.decode(data)


def _decode_parts(data: bytes, accept: Collection[str]) -> Any:
    """Decode a pickled body whose first argument came in pieces (`windlass.released`)."""
    pickle_type = content_type_of("pickle")
    try:
        is_list, pieces, rest = take_pieces(data)
    except ValueError as error:
        raise not_this_format(data, "joined pickles", error) from error
    values = [decode(piece, pickle_type, accept) for piece in pieces]
    args, kwargs, embed = decode(rest, pickle_type, accept)
    return [values, *args] if is_list else [*values, *args], kwargs, embed


def decode_marked(data: bytes, marker: bytes, accept: Collection[str]) -> Any:
    """Like `decode`, for stored results: the content type is given by its marker byte.

    Raises:
        ContentDisallowed: As `decode`.
        DecodeError: As `decode`.
    """
    serializer = _BY_MARKER.get(marker)
    return decode(data, serializer.content_type if serializer else repr(marker), accept)
