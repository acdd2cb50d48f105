"""The Lua scripts: read once, includes resolved, known by their SHA-1.

A file starts with its contract; `-- @include name` stands for `lua/lib/name.lua`. Where results are
kept elsewhere, scripts that store outcomes include `lua/outbox/outcome.lua` instead.
Next in the walk: `windlass.redis_store.commands`, which fills in keys and arguments.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

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

    def command_in_full(self, keys: Sequence[bytes], args: Sequence[Argument]) -> bytes:
        """Pack one EVAL: no server lacks it, so it keeps its place before what follows it.

        An EVALSHA that a server does not know is sent again after the rest of its pipeline.
        """
        known = pack((b"EVALSHA", self.sha)).partition(b"\r\n")[2]
        in_full = pack((b"EVAL", self.source.encode())).partition(b"\r\n")[2]
        return self.command(keys, args).replace(known, in_full, 1)

    @property
    def load_command(self) -> bytes:
        """Pack the SCRIPT LOAD that a server needs once."""
        return pack((b"SCRIPT", b"LOAD", self.source.encode()))


def _read(path: str) -> str:
    return files("windlass.redis_store").joinpath("lua", path).read_text(encoding="utf-8")


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

    return Script(name, _INCLUDE.sub(included, _read(f"{name}.lua")))


def names() -> list[str]:
    """Names of all scripts."""
    folder = files("windlass.redis_store").joinpath("lua")
    return sorted(f.name.removesuffix(".lua") for f in folder.iterdir() if f.name.endswith(".lua"))


@cache
def by_sha() -> dict[bytes, Script]:
    """All scripts by their SHA-1, to find the one a server does not have."""
    return {script(name).sha: script(name) for name in names()}


def find(sha: bytes) -> Script:
    """Return the script with this SHA-1, one for an outbox too."""
    known = by_sha().get(sha)
    return known if known is not None else _outbox_by_sha()[sha]


@cache
def _outbox_by_sha() -> dict[bytes, Script]:
    return {variant.sha: variant for variant in map(_outbox_variant, names())}
