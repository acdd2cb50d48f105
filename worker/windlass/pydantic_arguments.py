"""Arguments and results of tasks with pydantic=True: models in code, plain data on the wire.

The caller turns models into plain data; the worker validates (and converts) each argument by its
annotation, and turns what the task returns back into plain data. A value becomes a model only
because the task's own annotation says so.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError


class ModelCoder:
    """Converts the arguments and the result of one function.

    Args:
        fun: The task's function, without `self`.
        strict: Do not convert between types, e.g. "1" to 1.
        context: Given to validators as their context.
        dump: Arguments for `BaseModel.model_dump` of results; mode is "json".
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        *,
        strict: bool = False,
        context: Mapping[str, Any] | None = None,
        dump: Mapping[str, Any] | None = None,
    ) -> None:
        hints = get_type_hints(inspect.unwrap(fun), include_extras=True)
        self._signature = inspect.signature(fun)
        self._adapters = {
            name: TypeAdapter(hint)
            for name, hint in hints.items()
            if name in self._signature.parameters
        }
        self._strict = strict or None
        self._context = dict(context) if context else None
        self._dump = {"mode": "json", **(dump or {})}

    def dumped(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with every model, also inside containers, as plain data."""
        return (
            tuple(self._plain(value) for value in args),
            {name: self._plain(value) for name, value in kwargs.items()},
        )

    def validated(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments as the annotations want them.

        Raises:
            TypeError: The arguments do not fit the function.
            ValueError: A value does not fit its annotation. Pydantic's own error is its cause:
                that one cannot be built anew where the result is read, and would lose its text.
        """
        bound = self._signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            adapter = self._adapters.get(name)
            if adapter is None:
                continue
            try:
                bound.arguments[name] = self._each(self._signature.parameters[name], adapter, value)
            except ValidationError as error:
                text = f"Argument {name!r} does not fit its annotation: {error}"
                raise ValueError(text) from error
        return bound.args, bound.kwargs

    def dumped_result(self, value: Any) -> Any:
        """Return what the task returned as plain data."""
        if isinstance(value, BaseModel):
            return value.model_dump(**self._dump)
        return self._plain(value)

    def _each(self, parameter: inspect.Parameter, adapter: TypeAdapter[Any], value: Any) -> Any:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return tuple(self._validate(adapter, item) for item in value)
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            return {name: self._validate(adapter, item) for name, item in value.items()}
        return self._validate(adapter, value)

    def _validate(self, adapter: TypeAdapter[Any], value: Any) -> Any:
        return adapter.validate_python(value, strict=self._strict, context=self._context)

    def _plain(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item) for item in value]
        if isinstance(value, dict):
            return {key: self._plain(item) for key, item in value.items()}
        return value
