"""pickle: any Python value, and any code of whoever can write to the broker. Off unless accepted.

The only module that may unpickle. `registry.decode` calls it only when accept_content names it.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any

from windlass.errors import EncodeError
from windlass.serializers.base import Path, not_this_format, place

#: The newest protocol that every supported Python reads.
_PROTOCOL = 5


class PickleSerializer:
    """Python's own format. It imports modules and runs code when it decodes."""

    name = "pickle"
    content_type = "application/x-python-serialize"
    marker = b"p"

    def encode(self, value: Any, parts: Sequence[str] = ()) -> bytes:
        """See `Serializer.encode`."""
        try:
            return pickle.dumps(value, _PROTOCOL)
        except Exception as error:  # user classes raise what they like from __reduce__
            raise _unpicklable(place(_locate(value), parts), error) from error

    def decode(self, data: bytes) -> Any:
        """See `Serializer.decode`."""
        try:
            return pickle.loads(data)
        except Exception as error:  # a damaged pickle may raise nearly anything
            raise not_this_format(data, "pickle", error) from error


def _locate(value: Any, path: Path = (), depth: int = 8) -> Path:
    """Find the first part that cannot be pickled, `depth` levels down at most."""
    members: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for step, member in members if depth else ():
        try:
            pickle.dumps(member, _PROTOCOL)
        except Exception:
            return _locate(member, (*path, step), depth - 1)
    return path


def _unpicklable(where: str, error: Exception) -> EncodeError:
    return EncodeError(
        f"{where} cannot be pickled: {error!r}. Expected a value whose class can be imported by "
        "name. Pass plain data instead."
    )
