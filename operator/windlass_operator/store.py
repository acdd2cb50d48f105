"""What the watches have told: the newest body of every object that concerns us, by key.

Filled by the handlers, read by `observe`. Only what is watched is here: no Secrets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from windlass_operator.desired.names import POOL

Body = Mapping[str, Any]
Key = tuple[str, str]


class Store:
    """Objects by kind and (namespace, name); children also by the pool they belong to."""

    def __init__(self) -> None:
        self._bodies: defaultdict[str, dict[Key, Body]] = defaultdict(dict)
        self._of_pool: defaultdict[tuple[str, Key], dict[str, Body]] = defaultdict(dict)

    def put(self, kind: str, body: Body) -> None:
        """Take a new body, unless a newer one is known."""
        key = key_of(body)
        if _version(body) < _version(self._bodies[kind].get(key, {})):
            return  # a watch that is behind what we were answered
        self._bodies[kind][key] = body
        pool = body["metadata"].get("labels", {}).get(POOL)
        if pool:
            self._of_pool[kind, (key[0], pool)][key[1]] = body

    def drop(self, kind: str, body: Body) -> None:
        """Forget an object."""
        key = key_of(body)
        self._bodies[kind].pop(key, None)
        pool = body["metadata"].get("labels", {}).get(POOL)
        if pool:
            self._of_pool[kind, (key[0], pool)].pop(key[1], None)

    def replace(self, kind: str, namespace: str, bodies: Sequence[Body], version: str) -> None:
        """Take a whole listing in; what it does not show, and is not newer than it, is gone.

        Args:
            kind: Of all of them.
            namespace: Of the listing, '' for all.
            bodies: All that there is.
            version: The listing's resourceVersion.
        """
        listed = {key_of(body) for body in bodies}
        for key, body in list(self._bodies[kind].items()):
            is_in_scope = namespace in ("", key[0])
            if is_in_scope and key not in listed and _version(body) <= int(version):
                self.drop(kind, body)
        for body in bodies:
            self.put(kind, body)

    def get(self, kind: str, namespace: str, name: str) -> Body | None:
        """Return one object."""
        return self._bodies[kind].get((namespace, name))

    def all(self, kind: str) -> list[Body]:
        """Return all objects of a kind."""
        return list(self._bodies[kind].values())

    def children(self, kind: str, namespace: str, pool: str) -> Iterator[Body]:
        """Return a pool's Deployments or Pods."""
        yield from self._of_pool.get((kind, (namespace, pool)), {}).values()


def _version(body: Body) -> int:
    version = body.get("metadata", {}).get("resourceVersion", "")
    return int(version) if version.isdigit() else 0


def key_of(body: Body) -> Key:
    """(namespace, name)."""
    metadata = body["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
