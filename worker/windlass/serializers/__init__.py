"""Bytes <-> Python values by content type: the choice is in `registry`, one module a format.

`register(name, encoder, decoder, content_type, content_encoding="utf-8")` adds one of your own.
"""

from windlass.serializers.registry import register, unregister

__all__ = ["register", "unregister"]
