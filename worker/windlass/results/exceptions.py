"""Exceptions on the wire: (module, name, arguments) out, an instance of the same class back.

Decoding never imports. A class is used only if its module is already loaded here and it is an
Exception subclass; else a synthetic Exception subclass of that name stands for it, so that the
text and the type's name survive anywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from windlass.errors import ChordError, EncodeError
from windlass.serializers.base import Serializer

#: Longest text kept of an argument that has no representation, in characters.
_REPR_LIMIT = 2_000


def describe(exc: BaseException, serializer: Serializer) -> dict[str, Any]:
    """Return what is stored of an exception; arguments that cannot be encoded become their repr.

    Args:
        exc: Any exception.
        serializer: The one that will encode the answer.
    """
    kind = type(exc)
    wire: dict[str, Any] = {
        "exc_type": kind.__qualname__,
        "exc_module": kind.__module__,
        "exc_message": _encodable(exc.args, serializer),
    }
    if isinstance(exc, ChordError) and exc.__cause__ is not None:
        wire["exc_cause"] = describe(exc.__cause__, serializer)
    return wire


def summarise(exc: BaseException) -> dict[str, Any]:
    """Like `describe` for an exception whose arguments are too large: its repr, cut short."""
    kind = type(exc)
    return {
        "exc_type": kind.__qualname__,
        "exc_module": kind.__module__,
        "exc_message": [_short_repr(exc)],
    }


def is_described(value: object) -> bool:
    """Whether a decoded value is what `describe` returns."""
    return isinstance(value, dict) and "exc_type" in value and "exc_message" in value


def rebuild(wire: Mapping[str, Any]) -> Exception:
    """Return an instance for what `describe` returned, whatever the data is.

    Raises:
        Nothing: a class that cannot be rebuilt is replaced by a synthetic one.
    """
    name = str(wire.get("exc_type") or "Exception")
    module = str(wire.get("exc_module") or "builtins")
    message = wire.get("exc_message")
    args = tuple(message) if isinstance(message, list | tuple) else (message,)
    kind = _loaded_class(module, name)
    rebuilt = _instance(kind, args) if kind is not None else None
    if rebuilt is None:
        rebuilt = _synthetic_class(module, name)(*args)
    cause = wire.get("exc_cause")
    if isinstance(cause, Mapping) and is_described(cause):
        rebuilt.__cause__ = rebuild(cause)
    return rebuilt


def _encodable(args: tuple[Any, ...], serializer: Serializer) -> list[Any]:
    members = list(args)
    if _can_encode(members, serializer):
        return members
    return [m if _can_encode(m, serializer) else _short_repr(m) for m in members]


def _can_encode(value: Any, serializer: Serializer) -> bool:
    try:
        serializer.encode(value)
    except EncodeError:
        return False
    return True


def _short_repr(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a user's __repr__ may raise anything
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__name__}>"
    text = text.encode(errors="backslashreplace").decode()  # lone surrogates
    return text if len(text) <= _REPR_LIMIT else text[: _REPR_LIMIT - 1] + "…"


def _loaded_class(module: str, qualname: str) -> type[Exception] | None:
    # vars() and not getattr: a module's __getattr__ may import.
    found: object = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _instance(kind: type[Exception], args: tuple[Any, ...]) -> Exception | None:
    """Build an instance by its constructor, or past it when that wants other arguments."""
    exc = _built(lambda: kind(*args), args)
    return exc if exc is not None else _built(lambda: kind.__new__(kind, *args), args)


def _built(build: Callable[[], object], args: tuple[Any, ...]) -> Exception | None:
    try:
        exc = build()
        if not isinstance(exc, Exception):
            return None
        exc.args = args  # a constructor that composes its message would compose it twice
        str(exc)  # may need attributes that only the constructor sets
    except Exception:  # user code may raise anything; the caller tries the next way
        return None
    return exc


@lru_cache(maxsize=1024)
def _synthetic_class(module: str, qualname: str) -> type[Exception]:
    name = qualname.rpartition(".")[2].replace("\0", "") or "Exception"
    return type(name, (Exception,), {"__module__": module})
