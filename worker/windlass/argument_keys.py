"""Keys computed from the arguments of a call: what makes two calls "the same". Pure.

For what is unique, and for limits that are counted for each key. A key is short text that needs no
escaping in JSON, in the name of a Redis field, or in a log line. Calls that mean the same get the
same key, however their arguments are spelled: `add(1, 2)`, `add(1, y=2)` and `add(y=2, x=1)`.
Next in the walk: `windlass.uniqueness`.
"""

from __future__ import annotations

import hashlib
import inspect
import string
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AnySet
from typing import Any, NamedTuple

import msgspec

from windlass.errors import ConfigurationError, EncodeError, nearest
from windlass.serializers.typed import Dialect, to_plain

#: How a key is computed: None (all arguments), a template ("{0}:{user_id}", "{order[id]}"), names
#: of parameters, or a function that gets the call's arguments; it returns None for "no key".
KeySpec = str | Sequence[str] | Callable[..., object] | None

#: Longer keys are replaced by their hash.
MAX_KEY = 200
_HASH_BYTES = 16
_DIALECT = Dialect(name="key", has_bytes=False, has_nonfinite=False, int_bits=64, text_keys=True)
_KINDS = inspect.Parameter
_POSITIONAL = (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Named(NamedTuple):
    """The arguments of a call, however they were given.

    Attributes:
        positional: In the order of the parameters, defaults filled in; then those of `*args`.
        by_name: All that have a name, defaults filled in, those of `**kwargs` among them.
        rest: Those of `*args`.
    """

    positional: Sequence[Any]
    by_name: Mapping[str, Any]
    rest: Sequence[Any] = ()


class KeyMaker:
    """Computes the key of a call. Made by `of`."""

    def __init__(
        self, spec: KeySpec, signature: inspect.Signature | None, option: str = "unique_key"
    ) -> None:
        self._spec = spec
        self._signature = signature
        self._option = option
        self._defaults = {} if signature is None else _comparable_defaults(signature)

    @classmethod
    def of(
        cls, spec: KeySpec, signature: inspect.Signature | None, option: str = "unique_key"
    ) -> KeyMaker:
        """Check a specification against a task's signature.

        Args:
            spec: See `KeySpec`.
            signature: Of what the task calls, without `self`; None for a task that is not known
                here: then names are those of keyword arguments only, and defaults are not known.
            option: What the option is called, for error texts.

        Raises:
            ConfigurationError: It names a parameter that the task does not have, or is no
                template at all.
        """
        if spec is not None and not callable(spec):
            if isinstance(spec, str):
                _check_template(spec, signature, option)
            elif isinstance(spec, Sequence) and all(isinstance(name, str) for name in spec):
                _check_names(spec, signature, option)
            else:
                raise _bad_spec(spec, option)
        return cls(spec, signature, option)

    def __call__(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """Return the key of a call, None where the function says that it has none.

        Raises:
            ValueError: These arguments have no key: the template or the function does not fit
                them, or an argument has no canonical form.
        """
        spec = self._spec
        if callable(spec):
            return self._called(spec, args, kwargs)
        named = self._named(args, kwargs)
        if isinstance(spec, str):
            return readable_key(self._filled(spec, named))
        if spec is None:
            return self._hash({**named.by_name, "*": named.rest})
        return self._hash({name: named.by_name.get(name) for name in spec})

    def _called(
        self, spec: Callable[..., object], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> str | None:
        try:
            key = spec(*args, **kwargs)
        except Exception as error:
            text = f"{self._option} failed with {error!r} for args={args!r}, kwargs={kwargs!r}."
            raise ValueError(text) from error
        return None if key is None else readable_key(str(key))

    def _filled(self, template: str, named: Named) -> str:
        try:
            return template.format(*named.positional, **named.by_name)
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            text = (
                f"{self._option}={template!r} does not fit the call's arguments "
                f"{dict(named.by_name)!r}, {list(named.rest)!r}: {error!r}."
            )
            raise ValueError(text) from error

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Named:
        if self._signature is None:
            return Named(args, kwargs, args)
        try:
            bound = self._signature.bind(*args, **kwargs).arguments
        except TypeError:  # typing=False, or sent by name: the worker will say what is wrong
            return Named(args, kwargs, args)
        positional: list[Any] = []
        by_name: dict[str, Any] = {}
        rest: Sequence[Any] = ()
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is _KINDS.VAR_POSITIONAL:
                rest = bound.get(name, ())
            elif parameter.kind is _KINDS.VAR_KEYWORD:
                by_name.update(bound.get(name, {}))
            else:
                if name in bound or name in self._defaults:
                    by_name[name] = bound[name] if name in bound else self._defaults[name]
                if parameter.kind in _POSITIONAL:
                    positional.append(bound.get(name, parameter.default))
        return Named((*positional, *rest), by_name, rest)

    def _hash(self, value: Mapping[str, Any]) -> str:
        try:
            data = _canonical(value)
        except (EncodeError, RecursionError) as error:
            text = (
                f"The call's arguments cannot be compared: {error} Name those that matter with "
                f"{self._option}, as a template ('{{0}}'), names of parameters, or a function."
            )
            raise ValueError(text) from error
        return hashlib.blake2b(data, digest_size=_HASH_BYTES).hexdigest()


def readable_key(text: str) -> str:
    """Return a key as it is if it is short and plain, percent-encoded or hashed else."""
    if not (text.isascii() and text.isprintable() and not set(text) & _UNSAFE):
        text = "".join(_escaped(character) for character in text)
    if len(text) <= MAX_KEY:
        return text
    return "#" + hashlib.blake2b(text.encode(), digest_size=_HASH_BYTES).hexdigest()


_UNSAFE = frozenset('"\\%')


def _escaped(character: str) -> str:
    if character.isascii() and character.isprintable() and character not in _UNSAFE:
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _canonical(value: object) -> bytes:
    return _encode(to_plain(_ordered(value), _DIALECT))


def _ordered(value: object) -> object:
    """Return the value with sets as lists in one order: theirs differs between processes."""
    if isinstance(value, AnySet) and not isinstance(value, Mapping):
        return sorted((_ordered(member) for member in value), key=_canonical)
    if isinstance(value, Mapping):
        return {key: _ordered(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_ordered(member) for member in value]
    return value


def _comparable_defaults(signature: inspect.Signature) -> dict[str, Any]:
    """Return the defaults that have a canonical form; any other is as if it were not there."""
    found = {}
    for name, parameter in signature.parameters.items():
        if parameter.default is _KINDS.empty:
            continue
        try:
            _canonical(parameter.default)
        except (EncodeError, RecursionError):
            continue
        found[name] = parameter.default
    return found


def _check_template(template: str, signature: inspect.Signature | None, option: str) -> None:
    try:
        fields = [
            field for _, field, _, _ in string.Formatter().parse(template) if field is not None
        ]
    except ValueError as error:
        raise _bad_spec(template, option) from error
    if not fields:
        text = (
            f"{option}={template!r} names no argument, so that all calls would have one key. "
            "Expected a template such as '{0}' or '{user_id}'."
        )
        raise ConfigurationError(text)
    names = [_first_name(field) for field in fields]
    if "" in names:
        text = f"{option}={template!r} has an empty {{}}. Expected '{{0}}' or a parameter's name."
        raise ConfigurationError(text)
    _check_names([name for name in names if not name.isdigit()], signature, option)
    for name in names:
        if name.isdigit() and signature is not None and int(name) >= _most(signature):
            text = f"{option}={template!r} names argument {name}: the task takes {signature}."
            raise ConfigurationError(text)


def _first_name(field: str) -> str:
    return field.partition(".")[0].partition("[")[0]


def _check_names(names: Sequence[str], signature: inspect.Signature | None, option: str) -> None:
    if signature is None:
        return
    parameters = signature.parameters
    if any(parameter.kind is _KINDS.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            text = (
                f"{option} names {name!r}, which is no parameter of the task: {signature}."
                f"{nearest(name, parameters)}"
            )
            raise ConfigurationError(text)


def _most(signature: inspect.Signature) -> float:
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if _KINDS.VAR_POSITIONAL in kinds:
        return float("inf")
    return sum(kind in _POSITIONAL for kind in kinds)


def _bad_spec(spec: object, option: str) -> ConfigurationError:
    return ConfigurationError(
        f"{option}={spec!r} is no way to compute a key. Expected a template such as '{{user_id}}', "
        "names of parameters such as ['user_id'], or a function of the call's arguments."
    )
