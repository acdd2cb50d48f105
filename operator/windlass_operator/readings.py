"""What is read of a body, once for each version of it: models and views. Pure.

Each function takes the JSON that the store keeps and what the same function made of the version
before, and is given to `Store.read_all` or `Store.read_children`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from windlass_operator.desired.names import POOL
from windlass_operator.models.beatschedule import BeatSchedule, trigger_of
from windlass_operator.models.resource import InvalidSpecError, identity_of
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.models.workerpool import WorkerPool
from windlass_operator.observed import ChildView, DeploymentView, PodView
from windlass_operator.views import deployment_view, pod_view
from windlass_operator.wanted_children import APPLIED

M = TypeVar("M", TaskQueue, WorkerPool, BeatSchedule)


class _Parts(msgspec.Struct):
    """An object of ours; the spec only as it is written."""

    kind: str
    metadata: dict[str, Any]
    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: dict[str, Any] | None = None


_PARTS = msgspec.json.Decoder(_Parts)


@dataclass(frozen=True, slots=True)
class Model(Generic[M]):
    """An object of ours as a model.

    Attributes:
        value: The model, or why there is none.
        written: The spec as JSON: while it is the same, it is not read again.
    """

    value: M | InvalidSpecError
    written: bytes


def read_queue(raw: bytes, before: Model[TaskQueue] | None) -> Model[TaskQueue]:
    """Read a TaskQueue."""
    return _model(raw, before, TaskQueue)


def read_pool(raw: bytes, before: Model[WorkerPool] | None) -> Model[WorkerPool]:
    """Read a WorkerPool."""
    return _model(raw, before, WorkerPool)


def read_schedule(raw: bytes, before: Model[BeatSchedule] | None) -> Model[BeatSchedule]:
    """Read a BeatSchedule."""
    return _model(raw, before, BeatSchedule)


def _model(raw: bytes, before: Model[M] | None, kind: type[M]) -> Model[M]:
    parts = _PARTS.decode(raw)
    written = bytes(parts.spec)
    if before is not None and before.written == written and isinstance(before.value, kind):
        # A status was written, by us most of the time.
        known: Any = before.value
        identity = identity_of({"kind": parts.kind, "metadata": parts.metadata})
        news: dict[str, Any] = {"identity": identity, "status": parts.status or {}}
        if kind is BeatSchedule:
            news["trigger"] = trigger_of(parts.metadata)
        return Model(replace(known, **news), written)
    try:
        return Model(kind.from_object(msgspec.json.decode(raw)), written)
    except InvalidSpecError as error:
        return Model(error, written)


def read_deployment(raw: bytes, before: object) -> tuple[DeploymentView, ChildView]:
    """Read a Deployment."""
    body = msgspec.json.decode(raw)
    return deployment_view(body), _child(body, raw)


def read_child(raw: bytes, before: object) -> ChildView:
    """Read a ServiceAccount or disruption budget."""
    return _child(msgspec.json.decode(raw), raw)


def read_pod(raw: bytes, before: object) -> PodView:
    """Read a Pod."""
    body = msgspec.json.decode(raw)
    return pod_view(body, body["metadata"]["labels"][POOL])


def _child(body: Mapping[str, Any], raw: bytes) -> ChildView:
    metadata = body["metadata"]
    return ChildView(
        name=metadata["name"],
        applied=(metadata.get("annotations") or {}).get(APPLIED, ""),
        version=metadata.get("resourceVersion", ""),
        raw=raw,
    )
