"""Checks a call's arguments against a task's signature, in the caller, before anything is sent.

Next in the walk: `windlass.sending`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD
_PLAIN = (_NAMED, inspect.Parameter.POSITIONAL_ONLY)


class ArgumentCheck:
    """Tells whether arguments fit a function, quickly where its parameters are plain.

    Binding with `inspect` costs several microseconds, so a function with only ordinary parameters
    is checked by counting; `inspect` is asked for the rest, and for the text of an error.

    Args:
        name: The task's name, for the text.
        fun: What will be called with them, without `self`.
    """

    __slots__ = ("_countable", "_most", "_name", "_names", "_required", "_signature")

    def __init__(self, name: str, fun: Callable[..., Any]) -> None:
        self._name = name
        self._signature = inspect.signature(fun)
        parameters = list(self._signature.parameters.values())
        self._countable = all(parameter.kind is _NAMED for parameter in parameters)
        self._names = tuple(parameter.name for parameter in parameters)
        self._most = len(parameters)
        self._required = sum(
            parameter.default is inspect.Parameter.empty for parameter in parameters
        )

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Return if the arguments fit.

        Raises:
            TypeError: They do not; the text says how, and shows the signature.
        """
        if self._countable and self._fits(len(args), kwargs):
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            text = f"{self._name}{self._signature} cannot be called so: {error}"
            raise TypeError(text) from None

    def _fits(self, count: int, kwargs: Mapping[str, Any]) -> bool:
        if not kwargs:
            return self._required <= count <= self._most
        missing = self._names[count : self._required]
        free = self._names[count:]
        return all(name in kwargs for name in missing) and kwargs.keys() <= set(free)

    def positional_count(self) -> float:
        """Return how many positional arguments it takes at most (infinity for *args)."""
        kinds = [parameter.kind for parameter in self._signature.parameters.values()]
        if inspect.Parameter.VAR_POSITIONAL in kinds:
            return float("inf")
        return sum(kind in _PLAIN for kind in kinds)


def check_containers(args: object, kwargs: object) -> None:
    """Refuse arguments that are not a sequence and a mapping.

    Raises:
        TypeError: args is not a list or tuple, or kwargs not a mapping with string keys.
    """
    if args is not None and not isinstance(args, list | tuple):
        text = f"args must be a list or a tuple, got {args!r}. For one argument: ({args!r},)"
        raise TypeError(text)
    if kwargs is not None and not isinstance(kwargs, Mapping):
        text = f"kwargs must be a mapping of argument names to values, got {kwargs!r}."
        raise TypeError(text)
