"""From raw values to `Settings`, with errors that name the setting, its origin and the fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pydantic

from windlass.errors import ConfigurationError, nearest
from windlass.settings import celery_names
from windlass.settings.model import NAMES, Settings

_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")
_REFERENCE = "docs/reference/settings.md lists every setting."


def censor(text: str) -> str:
    """Hide the password of an address."""
    return _PASSWORD.sub("***", text)


def validated(values: Mapping[str, Any], origins: Mapping[str, str]) -> Settings:
    """Build settings from the values of known names.

    Raises:
        ConfigurationError: A value has the wrong type or is out of range; names all of them.
    """
    try:
        return Settings.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise ConfigurationError(_explain(error, origins)) from None


def _explain(error: pydantic.ValidationError, origins: Mapping[str, str]) -> str:
    problems: dict[str, tuple[Any, list[str]]] = {}
    for item in error.errors(include_url=False):
        name = str(item["loc"][0])
        # A union reports each of its members, with the same input for all of them.
        _, texts = problems.setdefault(name, (item["input"], []))
        text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        text = text if text.startswith("expected") else f"expected {text}"
        if text not in texts:
            texts.append(text)
    return " ".join(
        f"Setting {name} is {censor(repr(value))} ({origins.get(name, 'default')}); "
        f"{'; or '.join(texts)}."
        for name, (value, texts) in problems.items()
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
