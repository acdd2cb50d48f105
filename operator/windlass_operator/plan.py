"""What is to be done, as data: the only thing that decisions produce and `apply` consumes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from windlass.beat.entry import Entry


class Manager(StrEnum):
    """Field managers of server-side apply: one for each concern, so that nobody fights."""

    TEMPLATE = "windlass-operator"
    AUTOSCALER = "windlass-autoscaler"
    STATUS = "windlass-status"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyObject:
    """Server-side apply of a child.

    Attributes:
        is_first: None such is known, and it would be written with a number of replicas: one that is
            there all the same, without our labels, is to be taken in again and keep its own.
    """

    manifest: Mapping[str, Any]
    is_first: bool = False
    manager: Manager = Manager.TEMPLATE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObject:
    """Delete a child of ours."""

    api_version: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetReplicas:
    """Scale a Deployment, only if it is still at `resource_version` (None: whatever it is at)."""

    deployment: str
    replicas: int
    resource_version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDeletionCost:
    """Mark a pod as the first (negative) or a later victim of its ReplicaSet."""

    pod: str
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonWorker:
    """Have a worker take nothing more, for ttl_s. `is_final`: it turns unready and stays so."""

    worker_id: str
    ttl_s: float = 30.0
    is_final: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UncordonWorker:
    """Let a worker take messages again."""

    worker_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord:
    """Change a queue's record on its broker."""

    queue: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeQueue:
    """Delete what waits in a queue."""

    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSchedule:
    """Declare a schedule on its broker, or change it to this; a new one begins `is_paused`."""

    entry: Entry
    uid: str
    is_paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseSchedule:
    """Have a schedule on its broker fire no more, or again."""

    name: str
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerSchedule:
    """Fire a schedule beside its times; the `run_id` that it was fired with last does nothing."""

    name: str
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveSchedule:
    """Take a schedule off its broker, if it is this owner's."""

    name: str
    owner: str


#: What is done to a schedule on its broker.
OnSchedule = PutSchedule | PauseSchedule | TriggerSchedule | RemoveSchedule


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFinalizer:
    """Add or remove our finalizer on the object itself."""

    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitEvent:
    """A Kubernetes Event about the object. `reason` is one of `windlass_operator.reasons`."""

    reason: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """Replace the object's status.

    Attributes:
        is_passing: The plan itself makes it untrue in a moment: it is left to the next look, which
            comes when the change shows, or with the next tick.
    """

    status: Mapping[str, Any]
    is_passing: bool = False


Action = (
    ApplyObject
    | DeleteObject
    | SetReplicas
    | SetDeletionCost
    | CordonWorker
    | UncordonWorker
    | WriteRecord
    | PurgeQueue
    | OnSchedule
    | SetFinalizer
    | EmitEvent
    | SetStatus
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Actions in their order, and when to look again at the latest (seconds; None: next tick)."""

    actions: tuple[Action, ...] = field(default=())
    look_again_s: float | None = None
