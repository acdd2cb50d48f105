"""Which of the fields that we applied have been taken by somebody else since. Pure.

The API server keeps the fields of every manager. Who changes or removes a field takes it out of the
others' sets, so values need not be compared: the server may write 0.5 CPU as 500m, it stays ours.
What others add beside our fields is theirs, and is left alone.

Source: "Server-Side Apply", the format of managedFields (f: a field, k: an item by its keys, v: an
item by its value, . the thing itself).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Node = Mapping[str, Any]

#: Not among the managed fields: what the object is, and where.
_ADDRESS = {"": ("apiVersion", "kind"), "metadata": ("name", "namespace")}
#: Maps that the server does not keep when they are empty.
_DROPPED_WHEN_EMPTY = ("labels", "annotations")


def taken_fields(manifest: Node, body: Node, manager: str) -> list[str]:
    """Return the paths of fields of a manifest that are not the manager's any more.

    Args:
        manifest: What the manager applied last.
        body: The object as it is.
        manager: Name of the field manager.

    Returns:
        Paths, e.g. spec.template.spec.containers[worker].image. Empty as well for an object
        without any managed fields: nothing is known of it.
    """
    entries = body["metadata"].get("managedFields")
    if not entries:
        return []
    owned: Node = next(
        (
            entry.get("fieldsV1") or {}
            for entry in entries
            if entry.get("manager") == manager
            and entry.get("operation") == "Apply"
            and not entry.get("subresource")
        ),
        {},
    )
    return list(_of_map(manifest, owned, body, ""))


def _of_map(wanted: Node, owned: Node, live: Node, path: str) -> Iterator[str]:
    for key, value in wanted.items():
        if key in _ADDRESS.get(path, ()) or _is_nothing(key, value):
            continue
        here = f"{path}.{key}" if path else key
        part = owned.get(f"f:{key}")
        if part is None:
            yield here
        else:
            yield from _of_value(value, part, live.get(key), here)


def _of_value(value: Any, owned: Node, live: Any, path: str) -> Iterator[str]:
    if not value or not isinstance(value, dict | list):
        return
    if not owned:
        # Owned as one thing, or the last of its fields was taken: only the values can tell.
        if not _has(live, value):
            yield path
    elif isinstance(value, dict):
        yield from _of_map(value, owned, live if isinstance(live, Mapping) else {}, path)
    else:
        yield from _of_list(value, owned, live if isinstance(live, list) else [], path)


def _of_list(wanted: Sequence[Any], owned: Node, live: Sequence[Any], path: str) -> Iterator[str]:
    by_keys = [(json.loads(key[2:]), part) for key, part in owned.items() if key.startswith("k:")]
    for item in wanted:
        if not isinstance(item, dict):
            if f"v:{json.dumps(item)}" not in owned:
                yield f"{path}[{item}]"
            continue
        found = next(((k, part) for k, part in by_keys if _has_keys(item, k)), None)
        if found is None:
            yield f"{path}[{item.get('name', '')}]"
            continue
        keys, part = found
        there = next((one for one in live if isinstance(one, dict) and _has(one, keys)), {})
        yield from _of_value(item, part, there, f"{path}[{next(iter(keys.values()))}]")


def _has_keys(item: Node, keys: Node) -> bool:
    """Whether an item is the one with these keys; a key that it leaves out is a default."""
    return any(key in item for key in keys) and all(
        item.get(key, value) == value for key, value in keys.items()
    )


def _has(live: Any, wanted: Any) -> bool:
    """Whether all that is wanted is there; defaults may have been added."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(
            _has(live.get(key), value)
            for key, value in wanted.items()
            if not _is_nothing(key, value)
        )
    if isinstance(wanted, list):
        is_as_long = isinstance(live, list) and len(live) == len(wanted)
        return is_as_long and all(map(_has, live, wanted))
    return bool(live == wanted)


def _is_nothing(key: str, value: Any) -> bool:
    return value is None or value == [] or (value == {} and key in _DROPPED_WHEN_EMPTY)
