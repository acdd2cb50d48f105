"""What the operator sees of one pool or queue at one instant: frozen data, no client behind it.

`windlass_operator.observe` fills it in; everything that decides reads only this and `now_s`.
Times are seconds since the epoch unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from windlass.brokers.base import QueueDepth
from windlass.control_plane.heartbeats import WorkerStatus
from windlass.control_plane.set_aside import SetAside
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.models.workerpool import WorkerPool


class BrokerError(StrEnum):
    """Why a queue's broker cannot be used. The words are condition reasons: part of the API."""

    #: It does not answer.
    UNREACHABLE = "BrokerUnreachable"
    #: It refuses the credentials.
    AUTH_FAILED = "BrokerAuthFailed"
    #: It answers something that makes no sense.
    BAD_REPLY = "BrokerBadReply"
    #: What is said to be its address is none.
    BAD_ADDRESS = "BrokerAddressInvalid"
    #: The operator's default broker is not for this namespace.
    NOT_OFFERED = "BrokerNotOffered"
    #: The Secret with its address, or the key in it, is not there.
    SECRET_MISSING = "SecretMissing"  # noqa: S105  # a reason, not a password
    #: The Secret does not carry the label windlass.dev/broker=allow.
    SECRET_NOT_SHARED = "SecretNotShared"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerView:
    """The broker of a queue, as far as it could be resolved and reached.

    Attributes:
        broker_id: Same for all queues on the same server, database and credentials; never a url.
        keyspace: The namespace.
        error: None when it can be used.
        detail: The error in words, without secrets.
        failures: Failed reads in a row.
        stale_s: Age of what is known, 0 when it was read in this tick.
    """

    broker_id: str
    keyspace: str
    error: BrokerError | None = None
    detail: str = ""
    failures: int = 0
    stale_s: float = 0.0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueView:
    """One queue that a pool names.

    Attributes:
        ref: Name of the TaskQueue object.
        queue: The object; None when it is not declared.
        depth: Newest depth; the last known one while the broker cannot be read; None if never.
        arrival_rate: Messages a second, smoothed.
        service_s: Seconds a message, smoothed; None if unmeasured.
        due_soon: Scheduled messages due within the pool's wake horizon.
        conflict: Another, older TaskQueue has the same queue name and broker.
        aside: Parked messages by task and dead letters by reason; None while not read.
    """

    ref: str
    queue: TaskQueue | None
    broker: BrokerView | None = None
    depth: QueueDepth | None = None
    arrival_rate: float = 0.0
    service_s: float | None = None
    due_soon: int = 0
    conflict: str = ""
    aside: SetAside | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """A Deployment of the pool.

    Attributes:
        version: Template hash it was made for (label windlass.dev/version).
        replicas: spec.replicas.
        replica_sets: How many of its ReplicaSets still have pods.
    """

    name: str
    version: str
    replicas: int
    current: int = 0
    ready: int = 0
    updated: int = 0
    generation: int = 0
    observed_generation: int = 0
    resource_version: str = ""
    replica_sets: int = 1
    progress_failed: str = ""
    created_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """A pod of the pool. Its name is the worker id.

    Attributes:
        waiting_reason: Of the worker container: ImagePullBackOff, CrashLoopBackOff, ...
        message: Its last words: the termination message, or why it waits.
        unschedulable: The scheduler's message, '' if it has a node.
    """

    name: str
    deployment: str
    version: str
    phase: str
    is_ready: bool = False
    is_deleting: bool = False
    restarts: int = 0
    waiting_reason: str = ""
    message: str = ""
    unschedulable: str = ""
    deletion_cost: int = 0
    created_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildView:
    """A child of the pool as the API server has it.

    Attributes:
        applied: Hash of what we last applied, '' when it has none.
        version: resourceVersion.
        raw: The body as JSON; b"" when nothing is known of it.
    """

    name: str
    applied: str
    version: str = ""
    raw: bytes = b""

    def body(self) -> Mapping[str, Any]:
        """Return the body; it takes a while, and is needed when something changed only."""
        decoded: Mapping[str, Any] = msgspec.json.decode(self.raw)
        return decoded


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolObserved:
    """Everything about one pool."""

    pool: WorkerPool
    queues: tuple[QueueView, ...]
    deployments: tuple[DeploymentView, ...] = ()
    pods: tuple[PodView, ...] = ()
    workers: tuple[WorkerStatus, ...] = ()
    #: Children as the API server has them, by (kind, name).
    children: Mapping[tuple[str, str], ChildView] = field(default_factory=dict)
    #: Queue ref -> slots of its need that fall to this pool.
    shares: Mapping[str, float] = field(default_factory=dict)
    #: Queue refs that other pools serve too.
    shared: frozenset[str] = frozenset()
    #: From the operator's configuration, for every worker pod.
    image_pull_secrets: tuple[str, ...] = ()
    #: Whether heartbeats could be read in this tick.
    workers_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueObserved:
    """Everything about one TaskQueue."""

    queue: TaskQueue
    view: QueueView
    pools: tuple[str, ...] = ()
    binding_exists: bool = False
    #: Address and keyspace that the binding Secret gives to applications; None if unresolved.
    binding: Mapping[str, str] | None = None
    #: The queue record as the broker has it; None if it could not be read.
    record: Mapping[str, Any] | None = None
    running: int = 0
