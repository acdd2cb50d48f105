"""What an app is and how it is set up, as text and plain data, without secrets.

`windlass report`, `windlass inspect report` and `windlass inspect stats` print it.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from windlass._version import __version__
from windlass.log import scrub

if TYPE_CHECKING:
    from windlass.app import Windlass

_LIBRARIES = ("redis", "msgspec", "pydantic", "click", "prometheus-client")


def iso_time(at_ms: int) -> str:
    """Render a time in milliseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def plain(value: Any) -> Any:
    """Turn the value of any setting into what JSON has."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    return scrub(repr(value))


def broker_facts(app: Windlass) -> dict[str, Any]:
    """Describe the broker's address as Celery's stats do, without its password."""
    url = urlsplit(scrub(str(app.conf.broker_url)))
    return {
        "transport": url.scheme,
        "hostname": url.hostname,
        "port": url.port,
        "userid": url.username,
        "virtual_host": url.path.lstrip("/"),
        "keyspace": app.conf.keyspace,
    }


def software() -> str:
    """Name the versions of what runs here."""
    libraries = " ".join(f"{name}:{_version(name)}" for name in _LIBRARIES)
    return (
        f"software -> windlass:{__version__} {libraries}\n"
        f"platform -> python:{platform.python_version()} system:{platform.system()} "
        f"release:{platform.release()} machine:{platform.machine()}"
    )


def report(app: Windlass) -> str:
    """Describe software and settings; each setting with where its value came from."""
    lines = [software(), f"app      -> {app.main or '__main__'}, {len(app.tasks)} tasks", ""]
    settings = app.conf.humanize()
    lines.append(settings or "every setting has its default")
    if app.conf.ignored:
        lines += ["", "accepted and without effect here:"]
        lines += [f"  {name}: {why}" for name, why in app.conf.ignored.items()]
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "none"
