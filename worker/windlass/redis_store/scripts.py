"""The Lua scripts: read once, includes resolved, known by their SHA-1.

A file starts with its contract; `-- @include name` stands for `lua/lib/name.lua`.
Next in the walk: `windlass.redis_store.commands`, which fills in keys and arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from windlass.redis_store.resp import Argument, pack

_INCLUDE = re.compile(r"^-- @include (\w+)$", re.MULTILINE)


class Script:
    """One script: its text with includes, its SHA-1, and how to call it."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest().encode()

    def command(self, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
        """Pack one EVALSHA."""
        return pack((b"EVALSHA", self.sha, len(keys), *keys, *args))

    @property
    def load_command(self) -> bytes:
        """Pack the SCRIPT LOAD that a server needs once."""
        return pack((b"SCRIPT", b"LOAD", self.source.encode()))


def _read(path: str) -> str:
    return files("windlass.redis_store").joinpath("lua", path).read_text(encoding="utf-8")


@cache
def script(name: str) -> Script:
    """Return the script of `lua/<name>.lua`."""
    text = _read(f"{name}.lua")
    return Script(name, _INCLUDE.sub(lambda match: _read(f"lib/{match[1]}.lua").rstrip(), text))


def names() -> list[str]:
    """Names of all scripts."""
    folder = files("windlass.redis_store").joinpath("lua")
    return sorted(f.name.removesuffix(".lua") for f in folder.iterdir() if f.name.endswith(".lua"))


@cache
def by_sha() -> dict[bytes, Script]:
    """All scripts by their SHA-1, to find the one a server does not have."""
    return {script(name).sha: script(name) for name in names()}
