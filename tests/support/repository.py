"""The files of this repository, as shape tests look at them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NOT_OURS = frozenset({"build", "dist", "node_modules", "__pycache__"})
_HIDDEN_AND_OURS = frozenset({".ci", ".github"})


def files(*suffixes: str, below: str = ".") -> Iterator[Path]:
    """Yield our own files with one of these suffixes, sorted."""
    found = []
    for folder, folders, names in os.walk(ROOT / below):
        folders[:] = [name for name in folders if not _is_foreign(name)]
        found += [Path(folder, name) for name in names if name.endswith(suffixes)]
    yield from sorted(found)


def _is_foreign(name: str) -> bool:
    if name.startswith("."):  # environments, caches, git's own
        return name not in _HIDDEN_AND_OURS
    return name in _NOT_OURS or name.endswith((".egg-info", "_cache"))
