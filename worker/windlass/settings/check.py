"""From raw values to `Settings`, with errors that name the setting, its origin and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic

from windlass.errors import ConfigurationError, nearest
from windlass.log import scrub
from windlass.settings import celery_names
from windlass.settings.model import NAMES, Settings

_REFERENCE = "docs/reference/settings.md lists every setting."


def without_secrets(value: Any) -> Any:  # a value of any setting
    """Return a value fit for people to see: without the passwords of addresses and options."""
    if isinstance(value, str):
        return scrub(value)
    if isinstance(value, Mapping):
        return {
            key: "***" if "password" in str(key) else without_secrets(item)
            for key, item in value.items()
        }
    return value


def validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """Build settings from the values of known names.

    Raises:
        ConfigurationError: A value has the wrong type or is out of range; names all of them.
    """
    try:
        return Settings.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise ConfigurationError(_explain(error, values, origins)) from None


def _explain(
    error: pydantic.ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]
) -> str:
    problems: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0])
        texts = problems.setdefault(name, [])  # a union reports each of its members
        text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        text = text if text.startswith("expected") else f"expected {text}"
        if text not in texts:
            texts.append(text)
    return " ".join(
        f"Setting {name} is {scrub(repr(without_secrets(values[name])))} "
        f"({origins.get(name, 'default')}); {'; or '.join(texts)}."
        for name, texts in problems.items()
    )


def unknown_setting(
    name: str, *, spelled: str | None = None, prefix: str = "", hint: str = ""
) -> ConfigurationError:
    """The error for a name that is no setting of ours; Celery's own ones get their own word."""
    why = celery_names.refusal(name)
    if why is not None:
        return ConfigurationError(f"Celery's setting {spelled or name} is not supported. {why}.")
    modern = celery_names.modern_name(name)
    if modern is not None:
        return ConfigurationError(f"Setting {name} is spelled {modern}.")
    known = NAMES | celery_names.MEANINGLESS.keys()
    spell = (lambda known_name: prefix + known_name.upper()) if prefix else str
    close = nearest(spelled or name, map(spell, known))
    return ConfigurationError(f"Unknown setting {spelled or name!r}.{close}{hint} {_REFERENCE}")
