"""Where settings come from: objects, modules, the environment; and back to the environment.

Reads only; what the values mean is checked by the model, and which source wins is decided in
`windlass.settings.conf`. `to_env` and `from_env` are inverse: the operator renders a worker's
settings with the first, the worker reads them with the second.
"""

from __future__ import annotations

import difflib
import importlib
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from windlass.errors import ConfigurationError
from windlass.settings import celery_names
from windlass.settings.check import unknown_setting, validated
from windlass.settings.model import NAMES, Settings

PREFIX = "WINDLASS_"
#: Variables of this prefix that are not settings: read elsewhere.
RESERVED_VARIABLES = frozenset({"WINDLASS_APP", "WINDLASS_LOG_STYLE", "WINDLASS_REDIS_SERVER"})
#: What Kubernetes injects for a Service whose name starts with "windlass-".
_SERVICE_VARIABLE = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT$|_PORT_\d+_(TCP|UDP|SCTP)")


class ConfigurationObjectNotFoundError(ConfigurationError):
    """A name that should lead to settings leads nowhere."""

    def __init__(self, path: str, reason: Exception) -> None:
        super().__init__(
            f"Cannot load the configuration object {path!r}: {reason}. Expected the name of a "
            "module that can be imported here, or 'module:attribute'."
        )


def from_object(source: object, *, namespace: str | None = None) -> dict[str, Any]:
    """Read settings from a mapping, a module, a class, any object, or the name of one.

    Args:
        source: A mapping, an object with attributes, or a string: "package.module" or
            "package.module:attribute" ("package.module.attribute" works too).
        namespace: Read only names that start with this and an underscore, without it and in lower
            case: with "CELERY", CELERY_TASK_SERIALIZER is task_serializer.

    Returns:
        Lower-case setting names and their unchecked values.

    Raises:
        ConfigurationError: The name leads nowhere, or a setting is unknown; with the nearest one.
    """
    found = load_object(source) if isinstance(source, str) else source
    if isinstance(found, Mapping):
        pairs = {str(name): value for name, value in found.items()}
        guess = False
    else:
        pairs = {name: getattr(found, name) for name in dir(found) if not name.startswith("_")}
        guess = True
    if namespace:
        return _namespaced(pairs, namespace)
    return {name: value for name, value in pairs.items() if _is_setting(name, value, guess=guess)}


def load_object(path: str) -> object:
    """Import "package.module", "package.module:attribute" or "package.module.attribute".

    Raises:
        ConfigurationObjectNotFoundError: There is no such module or attribute.
    """
    module_name, _, attribute = path.partition(":")
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        parent, _, last = module_name.rpartition(".")
        if attribute or not parent:
            raise ConfigurationObjectNotFoundError(path, error) from error
        try:
            return getattr(importlib.import_module(parent), last)
        except (ModuleNotFoundError, AttributeError):
            raise ConfigurationObjectNotFoundError(path, error) from error
    for part in filter(None, attribute.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ConfigurationObjectNotFoundError(path, error) from error
    return found


def _namespaced(pairs: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    prefix = namespace.rstrip("_") + "_"
    found: dict[str, Any] = {}
    for name, value in pairs.items():
        if not name.startswith(prefix):
            continue
        setting = name[len(prefix) :].lower()
        if not celery_names.is_known(setting):
            raise unknown_setting(setting, spelled=name, prefix=prefix)
        found[setting] = value
    return found


def _is_setting(name: str, value: object, *, guess: bool) -> bool:
    """Tell settings from the other names of a module or an object.

    A mapping holds nothing but settings; a module also imports things and defines functions.
    """
    modern = celery_names.modern_name(name)
    if modern is not None:
        msg = (
            f"Setting {name} has Celery's old upper-case spelling. Expected {modern}; in Django "
            f"style, keep upper case with a prefix and pass namespace: CELERY_{modern.upper()} "
            "with namespace='CELERY'."
        )
        raise ConfigurationError(msg)
    if celery_names.is_known(name):
        return True
    if guess and (name.isupper() or _is_code(value)):
        return False
    raise unknown_setting(
        name, hint=" Start a helper's name with an underscore to have it left out." if guess else ""
    )


def _is_code(value: object) -> bool:
    return (
        callable(value)
        or isinstance(value, types.ModuleType)
        or type(value).__module__ == "__future__"
    )


def from_env(environ: Mapping[str, str]) -> dict[str, Any]:
    """Read `WINDLASS_<SETTING>` variables. An empty one counts as not set.

    Text is taken as it is; everything else is JSON, and lists may be comma-separated.

    Returns:
        Setting names and checked values.

    Raises:
        ConfigurationError: A value is ill-typed, or a name is one slip away from a setting.
    """
    found: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(PREFIX) or not text or variable in RESERVED_VARIABLES:
            continue
        name = variable[len(PREFIX) :].lower()
        if name in NAMES:
            found[name] = text if name in _TEXT_SETTINGS else _parse(text)
        elif _SERVICE_VARIABLE.search(variable):
            continue
        elif celery_names.is_known(name):
            found[name] = text
        else:
            _refuse_slip(variable, name)
    return found


def _refuse_slip(variable: str, name: str) -> None:
    """Refuse a misspelt variable; leave alone what merely shares the prefix."""
    close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.8)
    if close:
        msg = (
            f"Environment variable {variable} names no setting. Did you mean "
            f"{PREFIX}{close[0].upper()}? Expected {PREFIX}<SETTING>."
        )
        raise ConfigurationError(msg)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def to_env(settings: Settings) -> dict[str, str]:
    """Render the settings that differ from their defaults as environment variables, by name.

    Guarantee: `from_env` gives the same settings back.

    Raises:
        ConfigurationError: A value cannot be written as text (a function in task_routes).
    """
    rendered: dict[str, str] = {}
    for name, value in sorted(settings.model_dump().items()):
        default = Settings.model_fields[name].get_default(call_default_factory=True)
        if value != default:
            rendered[PREFIX + name.upper()] = _render(name, value)
    return rendered


def _render(name: str, value: Any) -> str:
    if name in _TEXT_SETTINGS:
        return str(value)
    try:
        return json.dumps(sorted(value) if isinstance(value, frozenset) else value)
    except (TypeError, ValueError) as error:
        msg = f"Setting {name} cannot be put in an environment variable: {error}. Expected JSON."
        raise ConfigurationError(msg) from error


def _is_text(annotation: Any) -> bool:
    """Whether the type is a string, or a choice of strings, or one of these or None."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _is_text(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        parts = [part for part in typing.get_args(annotation) if part is not type(None)]
        return all(_is_text(part) for part in parts)
    return annotation is str or typing.get_origin(annotation) is Literal


_TEXT_SETTINGS = frozenset(
    name for name, field in Settings.model_fields.items() if _is_text(field.annotation)
)


def settings_from_env(environ: Mapping[str, str]) -> Settings:
    """Build settings from the environment alone: the exact inverse of `to_env`."""
    values = from_env(environ)
    return validated(values, {name: f"environment {PREFIX}{name.upper()}" for name in values})
