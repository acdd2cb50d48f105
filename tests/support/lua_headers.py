"""Reading the contract at the top of a Lua script."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

ENTRY = re.compile(r"^-- (KEYS|ARGV)\[(\d+)(?:\.\.(\d*))?\]")
USE = re.compile(r"\b(KEYS|ARGV)\[([^\]]+)\]")
#: Functions that are given the index of the first of their keys.
BY_INDEX = ("targets(", "give(", "declare_all(", "unpack(KEYS,")
#: At the end of an entry: more of them follow, as often as needed.
REPEATED = re.compile(r"; then\b")


def text_of(name: str) -> str:
    """Text of a script, includes not resolved."""
    folder = files("windlass.redis_store").joinpath("lua")
    return folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")


def header_of(name: str) -> list[str]:
    """Comment lines before the first line of code."""
    lines = text_of(name).splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("--"))
    return lines[:end]


def code_of(name: str) -> str:
    """The script without its comment lines."""
    lines = text_of(name).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("--"))


@cache
def declared(name: str, kind: str) -> tuple[frozenset[int], bool]:
    """Return the indexes that a header names, and whether any number may follow them."""
    fixed: set[int] = set()
    is_open = False
    for line in header_of(name):
        entry = ENTRY.match(line)
        if not entry or entry[1] != kind:
            continue
        first, last = int(entry[2]), entry[3]
        if last == "":
            is_open = True
            continue
        fixed |= set(range(first, int(last or first) + 1))
        is_open = is_open or bool(REPEATED.search(line))
    return frozenset(fixed), is_open


def used(name: str, kind: str) -> tuple[set[int], bool]:
    """Return the indexes that the code names, and whether it computes others."""
    code = code_of(name)
    indexes = [use[2] for use in USE.finditer(code) if use[1] == kind]
    fixed = {int(index) for index in indexes if index.isdigit()}
    is_computed = any(not index.isdigit() for index in indexes)
    return fixed, is_computed or (kind == "KEYS" and any(word in code for word in BY_INDEX))


def check_arity(name: str, keys: int, args: int) -> None:
    """Fail unless a call with so many keys and arguments fits the header."""
    for kind, count in (("KEYS", keys), ("ARGV", args)):
        fixed, is_open = declared(name, kind)
        fits = count >= len(fixed) if is_open else count == len(fixed)
        assert fits, f"{name}.lua declares {len(fixed)} {kind} (open: {is_open}), got {count}"
