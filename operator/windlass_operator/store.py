"""What the watches have told: the newest body of every object that concerns us, by key.

Filled by the handlers, read by `observe`. Only what is watched is here: no Secrets. A body is kept
as JSON without what nobody reads, a tenth of what it takes as dictionaries; what is read of it with
every tick is read once, when it is new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from windlass_operator.desired.names import POOL
from windlass_operator.trimming import trimmed

Body = Mapping[str, Any]
Key = tuple[str, str]
T = TypeVar("T")


class _Entry:
    __slots__ = ("is_read", "made", "make", "pool", "raw", "version")

    def __init__(self, raw: bytes, version: int, pool: Key | None) -> None:
        self.raw = raw
        self.version = version
        self.pool = pool
        #: What was made by which function, and whether it is of this version or of the one before.
        self.make: Callable[..., Any] | None = None
        self.made: Any = None
        self.is_read = False


class Store:
    """Objects by kind and (namespace, name); children also by the pool they belong to."""

    def __init__(self) -> None:
        self._entries: defaultdict[str, dict[Key, _Entry]] = defaultdict(dict)
        self._of_pool: defaultdict[tuple[str, Key], dict[str, _Entry]] = defaultdict(dict)
        self._changes = 0
        self._changed: dict[Key, int] = {}

    def put(self, kind: str, body: Body) -> bool:
        """Take a new body, unless a newer one is known.

        Returns:
            Whether it told anything new.
        """
        key, version = key_of(body), _version(body)
        known = self._entries[kind].get(key)
        if known is not None and version < known.version:
            return False  # a watch that is behind what we were answered
        raw = msgspec.json.encode(trimmed(kind, body), enc_hook=str)
        if known is not None and raw == known.raw:
            return False
        label = (body["metadata"].get("labels") or {}).get(POOL)
        pool = (key[0], label) if label else None
        if known is not None and known.pool not in (None, pool):
            self._leave(kind, key[1], known)
        entry = self._entries[kind][key] = _Entry(raw, version, pool)
        if known is not None:
            entry.make, entry.made = known.make, known.made
        if pool is not None:
            self._of_pool[kind, pool][key[1]] = entry
            self._note_change(pool)
        return True

    def drop(self, kind: str, body: Body) -> None:
        """Forget an object."""
        self._drop(kind, key_of(body))

    def _drop(self, kind: str, key: Key) -> None:
        entry = self._entries[kind].pop(key, None)
        if entry is not None:
            self._leave(kind, key[1], entry)

    def _leave(self, kind: str, name: str, entry: _Entry) -> None:
        if entry.pool is None:
            return
        self._note_change(entry.pool)
        siblings = self._of_pool[kind, entry.pool]
        siblings.pop(name, None)
        if not siblings:
            del self._of_pool[kind, entry.pool]

    def _note_change(self, pool: Key) -> None:
        self._changes += 1
        self._changed[pool] = self._changes

    def revision(self, pool: Key) -> int:
        """Return a number that is another one whenever a child of the pool changed."""
        return self._changed.get(pool, 0)

    def forget_revisions(self, pools: Container[Key]) -> None:
        """Forget the numbers of all other pools."""
        for pool in [pool for pool in self._changed if pool not in pools]:
            del self._changed[pool]

    def replace(self, kind: str, namespace: str, listed: set[Key], version: str) -> None:
        """Forget what a whole listing did not show, unless it is newer than the listing.

        Args:
            kind: Of all of them.
            namespace: Of the listing, '' for all.
            listed: Keys of all that there is.
            version: The listing's resourceVersion.
        """
        for key, entry in list(self._entries[kind].items()):
            is_in_scope = namespace in ("", key[0])
            if is_in_scope and key not in listed and entry.version <= int(version):
                self._drop(kind, key)

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Return one object."""
        entry = self._entries[kind].get((namespace, name))
        return None if entry is None else _decoded(entry)

    def all(self, kind: str) -> list[Body]:
        """Return all objects of a kind."""
        return [_decoded(entry) for entry in self._entries[kind].values()]

    def children(self, kind: str, namespace: str, pool: str) -> Iterator[Body]:
        """Return a pool's Deployments or Pods."""
        yield from map(_decoded, self._of_pool.get((kind, (namespace, pool)), {}).values())

    def read_all(self, kind: str, make: Callable[[bytes, T | None], T]) -> Iterator[tuple[Key, T]]:
        """Return what `make` makes of each object of a kind; it is made once for each version.

        Args:
            kind: Of the objects.
            make: A pure function of a body's JSON, and of what it made of the version before.
        """
        for key, entry in self._entries[kind].items():
            yield key, _made(entry, make)

    def read_children(
        self, kind: str, namespace: str, pool: str, make: Callable[[bytes, T | None], T]
    ) -> list[T]:
        """Return what `make` makes of each of a pool's children of a kind, as `read_all`."""
        entries = self._of_pool.get((kind, (namespace, pool)))
        return [_made(entry, make) for entry in entries.values()] if entries else []


def _made(entry: _Entry, make: Callable[[bytes, T | None], T]) -> T:
    if not entry.is_read or entry.make is not make:
        before = entry.made if entry.make is make else None
        entry.make, entry.made, entry.is_read = make, make(entry.raw, before), True
    made: T = entry.made
    return made


def _decoded(entry: _Entry) -> Body:
    body: Body = msgspec.json.decode(entry.raw)
    return body


def _version(body: Body) -> int:
    version = body.get("metadata", {}).get("resourceVersion", "")
    return int(version) if version.isdigit() else 0


def key_of(body: Body) -> Key:
    """(namespace, name)."""
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
