"""Enums, dataclasses and pydantic models as arguments, because the annotation names them.

    @app.task
    def paint(items: list[Item], colour: Colour, note: Note | None = None) -> Receipt: ...

The caller may pass instances of the classes that the task's own annotations name, at any depth of
lists, dicts, optionals and unions; they travel as plain data and are built anew for the task. The
message never names a class: what is built is decided by the worker's code alone. A value that does
not fit stays what came, as an annotation promises nothing in Python; `pydantic=True` is the strict
form. Results are sent as plain data and stay that.
Next in the walk: `windlass.pydantic_arguments`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

#: Annotations made of these names alone name no class of the user's.
_PLAIN = frozenset(
    {
        "Any", "None", "Optional", "Union", "Sequence", "Mapping", "Iterable", "List", "Dict",
        "bool", "bytes", "date", "datetime", "dict", "float", "frozenset", "int", "list", "object",
        "set", "str", "tuple", "typing", "Task", "UUID", "Decimal", "timedelta",
    }
)  # fmt: skip
_WORD = re.compile(r"\w+")


def coder_of(fun: Callable[..., Any]) -> AnnotatedCoder | None:
    """Return the conversion of a task's function, None if its annotations name no such class."""
    function = inspect.unwrap(fun)
    annotations = getattr(function, "__annotations__", None)
    if not annotations or all(map(_is_plain, annotations.values())):
        return None
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception:  # names for type checkers only, say: they are no business of the worker's
        return None
    named = {name: hint for name, hint in hints.items() if _classes_in(hint)}
    return AnnotatedCoder(fun, named) if named else None


def _is_plain(annotation: object) -> bool:
    if isinstance(annotation, str):
        return _PLAIN.issuperset(_WORD.findall(annotation))
    return annotation is None or not _classes_in(annotation)


def _classes_in(hint: Any) -> set[type]:
    """Return the enums, dataclasses and models in a type, at any depth."""
    found = {each for part in get_args(hint) for each in _classes_in(part)}
    if isinstance(hint, type) and (
        issubclass(hint, Enum | BaseModel) or dataclasses.is_dataclass(hint)
    ):
        found.add(hint)
    return found


class AnnotatedCoder:
    """Converts the arguments and the result of one function.

    Args:
        fun: The task's function, without `self`.
        named: Parameter (or "return") -> its annotation, of those that name such a class.
    """

    def __init__(self, fun: Callable[..., Any], named: Mapping[str, Any]) -> None:
        self._signature = inspect.signature(fun)
        self._hints = {name: hint for name, hint in named.items() if name != "return"}
        self._adapters: dict[str, TypeAdapter[Any] | None] = {}
        self._classes = tuple({each for hint in named.values() for each in _classes_in(hint)})

    def dumped(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with instances of the named classes as plain data."""
        plain = self._plain
        return tuple(map(plain, args)), {name: plain(value) for name, value in kwargs.items()}

    def dumped_result(self, value: Any) -> Any:
        """Return what the task returned as plain data."""
        return self._plain(value)

    def validated(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the instances built anew.

        Raises:
            TypeError: The arguments do not fit the function.
        """
        bound = self._signature.bind(*args, **kwargs)
        for name in self._hints.keys() & bound.arguments.keys():
            kind, value = self._signature.parameters[name].kind, bound.arguments[name]
            if kind is inspect.Parameter.VAR_POSITIONAL:
                bound.arguments[name] = tuple(self._built(name, each) for each in value)
            elif kind is inspect.Parameter.VAR_KEYWORD:
                bound.arguments[name] = {
                    key: self._built(name, each) for key, each in value.items()
                }
            else:
                bound.arguments[name] = self._built(name, value)
        return bound.args, bound.kwargs

    def _built(self, name: str, value: Any) -> Any:
        if name not in self._adapters:
            self._adapters[name] = _adapter(self._hints[name])
        adapter = self._adapters[name]
        if adapter is None:
            return value
        try:
            return adapter.validate_python(value)
        except ValidationError:
            return value

    def _plain(self, value: Any) -> Any:
        if isinstance(value, self._classes):
            return _as_data(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item) for item in value]
        if isinstance(value, dict):
            return {self._plain(key): self._plain(item) for key, item in value.items()}
        return value


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    try:
        return TypeAdapter(hint)
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None  # it holds a class that nothing is known of


def _as_data(value: Any) -> Any:
    """Turn an instance into plain data, with what it holds; serializers know dates and the like."""
    if isinstance(value, Enum):
        return _as_data(value.value)
    if isinstance(value, BaseModel):
        return _as_data(value.model_dump(mode="python", by_alias=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (each.name for each in dataclasses.fields(value) if each.init)
        return {name: _as_data(getattr(value, name)) for name in fields}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_data(item) for item in value]
    if isinstance(value, dict):
        return {_as_data(key): _as_data(item) for key, item in value.items()}
    return value
