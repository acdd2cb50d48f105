"""Smaller bodies and results: zlib, and zstd where its library is installed.

Compressing is the sender's choice and unpacking needs no setting. What comes out is capped before
it is made: a few bytes that would grow beyond the cap (a "zip bomb") are refused.
"""

from __future__ import annotations

import importlib
import zlib
from typing import Any

from windlass.errors import ConfigurationError, DecodeError, nearest

#: Names and content encodings, also Celery's, -> the encoding that the message names.
ALIASES = {
    "zlib": "zlib",
    "gzip": "zlib",
    "application/x-gzip": "zlib",
    "zstd": "zstd",
    "zstandard": "zstd",
    "application/zstd": "zstd",
}
_HAS_NO_USE = ("bzip2", "bz2", "lzma", "xz", "brotli", "br")
#: Smaller data is sent as it is.
MIN_BYTES = 1024


class TooLargeUnpackedError(DecodeError):
    """Compressed data grows beyond the cap."""


def encoding_named(name: str) -> str:
    """Return the encoding that a setting or an option means.

    Raises:
        ConfigurationError: There is none, or its library is not installed.
    """
    encoding = ALIASES.get(name.lower())
    if encoding is None:
        hint = " They gain little over zstd." if name.lower() in _HAS_NO_USE else ""
        msg = f"Unknown compression {name!r}. Expected zlib (gzip) or zstd."
        raise ConfigurationError(msg + (hint or nearest(name, ALIASES)))
    if encoding == "zstd":
        _zstandard()
    return encoding


def compress(data: bytes, encoding: str) -> bytes:
    """Compress data with an encoding that `encoding_named` gave."""
    if encoding == "zstd":
        packed: bytes = _zstandard().ZstdCompressor(level=3).compress(data)
        return packed
    return zlib.compress(data, 6)


def decompress(data: bytes, encoding: str, max_bytes: int) -> bytes:
    """Unpack data.

    Args:
        data: Compressed.
        encoding: What the message says it is.
        max_bytes: More than this is refused, and never held in memory.

    Raises:
        TooLargeUnpackedError: It would be more than that.
        DecodeError: It is not of this encoding, is cut short, or the encoding is unknown here.
    """
    known = ALIASES.get(encoding)
    if known == "zlib":
        return _unpack(zlib.decompressobj(), data, encoding, max_bytes, zlib.error)
    if known == "zstd":
        try:
            module = _zstandard()
        except ConfigurationError as error:
            raise DecodeError(str(error)) from error
        return _unpack_zstd(module, data, max_bytes)
    text = f"Content encoding {encoding!r} is unknown here. Expected one of: zlib, zstd."
    raise DecodeError(text)


def _unpack(
    unpacker: Any, data: bytes, encoding: str, max_bytes: int, failure: type[Exception]
) -> bytes:
    try:
        unpacked: bytes = unpacker.decompress(data, max_bytes + 1)
    except failure as error:
        raise _damaged(encoding, error) from error
    if len(unpacked) > max_bytes:
        raise _too_large(len(data), max_bytes)
    if not unpacker.eof or unpacker.unused_data:
        raise _damaged(encoding, "it is cut short, or has something behind it")
    return unpacked


def _unpack_zstd(module: Any, data: bytes, max_bytes: int) -> bytes:
    # The window is capped as well: a frame may ask for gigabytes before it gives a byte.
    unpacker = module.ZstdDecompressor(max_window_size=max(1 << 20, _power_above(max_bytes)))
    try:
        with unpacker.stream_reader(data, read_across_frames=False) as reader:
            unpacked: bytes = reader.read(max_bytes + 1)
    except (module.ZstdError, MemoryError) as error:
        raise _damaged("zstd", error) from error
    if len(unpacked) > max_bytes:
        raise _too_large(len(data), max_bytes)
    if _frame_size(module, data) not in (len(unpacked), None):
        raise _damaged("zstd", "it is cut short")
    return unpacked


def _frame_size(module: Any, data: bytes) -> int | None:
    try:
        size: int = module.frame_content_size(data)
    except module.ZstdError as error:
        raise _damaged("zstd", error) from error
    return size if size >= 0 else None


def _power_above(value: int) -> int:
    return 1 << value.bit_length()


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ModuleNotFoundError as error:
        msg = "Compression zstd needs its library: pip install 'windlass[zstd]'. Or use zlib."
        raise ConfigurationError(msg) from error


def _damaged(encoding: str, detail: object) -> DecodeError:
    return DecodeError(f"Data that should be {encoding} cannot be unpacked: {detail}.")


def _too_large(size_bytes: int, max_bytes: int) -> TooLargeUnpackedError:
    return TooLargeUnpackedError(
        f"{size_bytes:,} compressed bytes grow beyond {max_bytes:,}, the largest size allowed. "
        "Send a reference to the data instead."
    )
