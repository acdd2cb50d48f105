"""The Lua scripts: read once, includes resolved, known by their SHA-1.

A file starts with its contract; `-- @include name` stands for `lua/lib/name.lua`. Where results are
kept elsewhere, scripts that store outcomes include `lua/outbox/outcome.lua` instead.

The last line of each names the edition: a digest of all of them. So no two versions of this package
have a script in common, and since all of an edition are loaded in one transaction, a server knows
all of them or none: of calls that are sent in one write none is done before one that it depends on.
Next in the walk: `windlass.redis_store.commands`, which fills in keys and arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from windlass.redis_store.keys import Keys
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


def _folder() -> Traversable:
    return files("windlass.redis_store").joinpath("lua")


def _read(path: str) -> str:
    return _folder().joinpath(path).read_text(encoding="utf-8")


def _names_in(*path: str) -> list[str]:
    found = _folder().joinpath(*path).iterdir()
    return sorted(f.name.removesuffix(".lua") for f in found if f.name.endswith(".lua"))


@cache
def edition() -> str:
    """Name these scripts as they are: a digest of every file."""
    digest = hashlib.sha1(usedforsecurity=False)
    for folder in ("", "lib/", "outbox/"):
        for name in _names_in(folder):
            digest.update(f"{folder}{name}\n{_read(f'{folder}{name}.lua')}".encode())
    return digest.hexdigest()


class OutboxScript:
    """A script that stores outcomes and notes each in the outbox: it takes two keys more."""

    __slots__ = ("_outbox_keys", "_script")

    def __init__(self, name: str, outbox_keys: tuple[bytes, bytes]) -> None:
        self._script = _outbox_variant(name)
        self._outbox_keys = outbox_keys

    def command(self, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
        """Pack one EVALSHA."""
        return self._script.command((*keys, *self._outbox_keys), args)


@cache
def script(name: str) -> Script:
    """Return the script of `lua/<name>.lua`."""
    return _script(name, "")


def outcome_script(name: str, keys: Keys) -> Script | OutboxScript:
    """Return a script that stores outcomes, as this keyspace needs it."""
    if not keys.has_outbox:
        return script(name)
    return OutboxScript(name, (keys.outbox, keys.outbox_generation))


@cache
def _outbox_variant(name: str) -> Script:
    return _script(name, "outcome")


def _script(name: str, in_outbox: str) -> Script:
    def included(match: re.Match[str]) -> str:
        folder = "outbox" if match[1] == in_outbox else "lib"
        return _read(f"{folder}/{match[1]}.lua").rstrip()

    source = _INCLUDE.sub(included, _read(f"{name}.lua"))
    return Script(name, f"{source}-- Edition {edition()}\n")


def names() -> list[str]:
    """Names of all scripts."""
    return _names_in()


def load_commands() -> list[bytes]:
    """Pack the loading of all scripts, those for an outbox too, in one transaction.

    None of them is kept: a worker needs a few.
    """
    sources = {_script(name, folder).source: None for folder in ("", "outcome") for name in names()}
    loads = [pack((b"SCRIPT", b"LOAD", source.encode())) for source in sources]
    return [pack((b"MULTI",)), *loads, pack((b"EXEC",))]
