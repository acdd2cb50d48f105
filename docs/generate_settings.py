"""Write docs/reference/settings.md from the settings model: `make docs`.

Names, types and defaults come from the code, meanings from the docstring under each setting.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from windlass.settings import celery_names, model

PAGE = Path(__file__).parent / "reference" / "settings.md"
#: Recorded from celery.app.defaults; the first line names the version.
CELERY = Path(__file__).parent / "celery_settings.txt"

INTRODUCTION = """\
# Settings

<!-- Written by docs/generate_settings.py from the code; `make docs` writes it anew. -->

Settings have Celery's lower-case names. The later of these wins; `windlass worker` says at its
start where each value came from, and `app.conf.origin("name")` says it in Python.

1. the default
2. `app.config_from_object(...)`: a module, a class, an object, a mapping or the name of one;
   `namespace="CELERY"` reads `CELERY_TASK_SERIALIZER` and the like from Django's settings
3. the app's arguments: `Windlass("shop", broker=..., task_serializer="json")`
4. `app.conf.name = value`, `app.conf["name"] = value`, `app.conf.update(...)`
5. the environment: `WINDLASS_` and the name in upper case, e.g. `WINDLASS_BROKER_URL`. Text as it
   is, everything else as JSON (`true`, `4`, `{"max_retries": 5}`); lists may be comma-separated; an
   empty variable counts as not set
6. flags of the command line

An unknown setting and a value of the wrong type are errors that name the nearest setting and what
was expected. When the app has sent a message or a worker has started, settings are fixed, except
`task_always_eager`, `task_eager_propagates` and `task_store_eager_result`; `app.close()` opens
them again.
"""

IGNORED = """\
## Celery settings that mean nothing here

Accepted, so that a configuration can be taken over as it is, and listed at the worker's start:

| Setting | Why it has no counterpart |
|---|---|
"""

REFUSED = """\
## Celery settings that are refused

Dropping them would change what an application does, so they are errors:

| Setting | Instead |
|---|---|
"""

WHOLE = """\
## Every setting of Celery {version}

Supported: the same name and meaning, in the tables above. No effect: accepted, for the reason
given. Refused: an error that says what to use.

| Setting | Here | Why, and what to use |
|---|---|---|
"""

_TYPES = {
    "Any": "any",
    "bool": "true or false",
    "str": "text",
    "dict[str, Any]": "mapping",
    "dict[str, dict[str, Any]]": "mapping of names to entries",
    "dict[str, float | None]": "mapping",
    "fields.Bytes": "bytes, at least 1024",
    "fields.Compression": "`zlib` or `zstd`",
    "fields.ContentNames": "list of content types",
    "fields.Count": "whole number, at least 1",
    "fields.CountOrZero": "whole number, at least 0",
    "fields.ModuleNames": "list of modules",
    "fields.Priority": "0 to 9",
    "fields.QueueName": "queue name",
    "fields.QueueNames": "list of queue names",
    "fields.RateLimit": "rate",
    "fields.Seconds": "seconds, more than 0",
    "fields.SecondsOrZero": "seconds, at least 0",
    "fields.Serializer": "`json`, `msgpack`, `pickle`, or your own",
    "fields.Text": "text",
    "None": "none",
}


def render() -> str:
    """Return the page's text."""
    parts = [INTRODUCTION]
    for group in model.GROUPS:
        title, _, text = inspect.cleandoc(group.__doc__ or "").partition(": ")
        parts.append(f"## {title}\n\n{text[:1].upper()}{text[1:]}\n")
        parts.append("| Setting | Type | Default | Meaning |\n|---|---|---|---|")
        parts.extend(_rows(group))
        parts.append("")
    parts.append(IGNORED.rstrip())
    parts.extend(f"| `{name}` | {why} |" for name, why in sorted(celery_names.MEANINGLESS.items()))
    parts += ["", REFUSED.rstrip()]
    parts.extend(f"| `{name}` | {why} |" for name, why in sorted(celery_names.REFUSED.items()))
    version, names = celery_settings()
    parts += ["", WHOLE.format(version=version).rstrip()]
    parts.extend(f"| `{name}` | {' | '.join(fate(name))} |" for name in names)
    return "\n".join(parts) + "\n"


def celery_settings() -> tuple[str, list[str]]:
    """Return the version and the names of the recorded list."""
    heading, *names = CELERY.read_text().splitlines()
    match = re.search(r"celery ([\d.]+):", heading)
    if match is None:
        raise SystemExit(f"{CELERY} does not say of which version it is.")
    return match[1], names


def fate(name: str) -> tuple[str, str]:
    """Return what becomes of one of Celery's settings, and why."""
    if name in model.NAMES:
        return "supported", ""
    if name in celery_names.MEANINGLESS:
        return "no effect", celery_names.MEANINGLESS[name]
    why = celery_names.refusal(name)
    if why is None:
        raise SystemExit(f"Celery's setting {name} is neither supported nor explained.")
    return "refused", why


def _rows(group: type) -> Iterator[str]:
    lines = cast("ast.ClassDef", ast.parse(inspect.getsource(group)).body[0]).body
    for field, text in pairwise(lines):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            name = field.target.id
            meaning = _docstring(text, name)
            default = model.Settings.model_fields[name].default
            yield f"| `{name}` | {_type(field.annotation)} | {_default(default)} | {meaning} |"


def _docstring(node: ast.stmt, name: str) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return re.sub(r"\s+", " ", str(node.value.value)).replace("|", "\\|")
    raise SystemExit(f"Setting {name} has no docstring in settings/model.py.")


def _type(annotation: ast.expr) -> str:
    text = ast.unparse(annotation)
    if text.startswith("Literal["):
        return ", ".join(f"`{name}`" for name in ast.literal_eval(text.removeprefix("Literal")))
    if text in _TYPES:
        return _TYPES[text]
    return " or ".join(_TYPES[part] for part in text.split(" | "))


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, frozenset):
        value = sorted(value)
    if value in ((), {}, []):
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value)
    return f"{value:,}" if isinstance(value, int) and value >= 10_000 else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(render())
