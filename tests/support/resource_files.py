"""The CRDs as files, walked field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from repository import ROOT

KINDS = {
    "TaskQueue": "taskqueues",
    "WorkerPool": "workerpools",
    "BeatSchedule": "beatschedules",
}
Node = Mapping[str, Any]


def crd_text(kind: str) -> str:
    return (ROOT / "crds" / f"{KINDS[kind]}.yaml").read_text()


def crd(kind: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(crd_text(kind))
    return loaded


def version_of(kind: str) -> Node:
    versions: list[Node] = crd(kind)["spec"]["versions"]
    return versions[0]


def schema(kind: str) -> Node:
    root: Node = version_of(kind)["schema"]["openAPIV3Schema"]
    return root


@dataclass(frozen=True, slots=True)
class Field:
    """One node of a schema; `path` from the root, list items as []."""

    path: str
    node: Node
    is_required: bool


def fields(node: Node, path: str = "") -> Iterator[Field]:
    """Yield every property below a node, parents first."""
    required = set(node.get("required", ()))
    for name, child in node.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        yield Field(below, child, name in required)
        yield from fields(child, below)
    if "items" in node:
        yield Field(f"{path}[]", node["items"], True)
        yield from fields(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), Mapping):
        yield Field(f"{path}.*", node["additionalProperties"], False)
