"""What of an object's body is worth keeping: a thousand pools have six thousand of them. Pure.

Of the managed fields only our own are read (`field_owners`); others say no more than that there are
any. A Pod's spec is read by nobody, and a status of our own kinds is as we wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from windlass_operator.plan import Manager

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Kinds whose fields are compared with what we applied.
_COMPARED = frozenset({"Deployment", "ServiceAccount", "PodDisruptionBudget"})
#: Known by the kind, or read by nobody.
_DROPPED = frozenset({"apiVersion", "kind", "metadata"})
_DROPPED_OF_PODS = _DROPPED | {"spec"}


def trimmed(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a body, always in the same order."""
    metadata = {k: v for k, v in body["metadata"].items() if k != "managedFields"}
    annotations = metadata.get("annotations")
    if annotations and _LAST_APPLIED in annotations:
        metadata["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    owners = body["metadata"].get("managedFields")
    if owners and kind in _COMPARED:
        metadata["managedFields"] = our_fields(owners)
    dropped = _DROPPED_OF_PODS if kind == "Pod" else _DROPPED
    rest = {key: body[key] for key in sorted(body) if key not in dropped}
    return {"kind": kind, "metadata": metadata, **rest}


def our_fields(owners: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the entries of our templates; an empty one if all are of others."""
    ours = [one for one in owners if one.get("manager") == Manager.TEMPLATE]
    return ours or [{}]
