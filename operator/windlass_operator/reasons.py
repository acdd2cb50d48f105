"""Every condition type, condition reason and event reason: part of the API, each with its meaning.

`docs/reference/conditions.md` lists them; a test keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of conditions. Degraded and ReplicaConflict are abnormal when True."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    METRICS_AVAILABLE = "MetricsAvailable"
    PAUSED = "Paused"
    REPLICA_CONFLICT = "ReplicaConflict"


class ConditionReason(StrEnum):
    """Why a condition is what it is, beside the broker errors of `observed.BrokerError`."""

    #: All is as wanted.
    AS_EXPECTED = "AsExpected"
    #: The spec cannot be used; retried when it changes.
    INVALID_SPEC = "InvalidSpec"
    #: A pool names a TaskQueue that is not there; it serves its others.
    QUEUE_NOT_DECLARED = "QueueNotDeclared"
    #: No queue of the pool can be served, so it has no workers.
    NO_USABLE_QUEUE = "NoUsableQueue"
    #: Queues of one pool live on different brokers; a worker has one.
    BROKERS_DIFFER = "BrokersDiffer"
    #: Another, older TaskQueue has the same queue name and broker.
    QUEUE_NAME_CONFLICT = "QueueNameConflict"
    #: Several pools serve one queue; its need is divided among them.
    SHARED_QUEUE = "SharedQueue"
    #: Messages are parked whose task no worker knows.
    NO_CAPABLE_WORKER = "NoCapableWorker"
    #: Nothing is taken from the queue, or nothing changed in the pool.
    PAUSED_BY_USER = "PausedByUser"
    #: Workers of the wanted version are not all ready yet.
    ROLLING_OUT = "RollingOut"
    #: No progress within the Deployment's deadline.
    PROGRESS_DEADLINE = "ProgressDeadlineExceeded"
    #: The worker image cannot be pulled.
    IMAGE_PULL_FAILED = "ImagePullFailed"
    #: Workers end again and again, e.g. since the app cannot be imported.
    WORKERS_CRASH_LOOPING = "WorkersCrashLooping"
    #: No node has room for a worker.
    UNSCHEDULABLE = "Unschedulable"
    #: Asleep at zero: nothing to do.
    SCALED_TO_ZERO = "ScaledToZero"
    #: spec.replicas decides, not the work.
    MANUAL = "ManualReplicas"
    #: minReplicas or maxReplicas decides, not the work.
    AT_BOUND = "AtBound"
    #: Somebody else writes the Deployment's replicas.
    FOREIGN_WRITER = "ForeignWriter"
    #: A task's time limit is longer than the pods' grace period.
    GRACE_TOO_SHORT = "GraceTooShort"
    #: Fields of podTemplate were ignored, since they are the operator's.
    POD_TEMPLATE_IGNORED = "PodTemplateFieldsIgnored"


class EventReason(StrEnum):
    """Reasons of Events."""

    SCALED_UP = "ScaledUp"
    SCALED_DOWN = "ScaledDown"
    SCALED_TO_ZERO = "ScaledToZero"
    SCALE_DOWN_ABANDONED = "ScaleDownAbandoned"
    WRONG_VICTIM = "ScaleDownWrongVictim"
    ROLLOUT_STARTED = "RolloutStarted"
    OLD_VERSION_DRAINED = "OldVersionDrained"
    BROKER_UNREACHABLE = "BrokerUnreachable"
    BROKER_RECOVERED = "BrokerRecovered"
    INVALID_SPEC = "InvalidSpec"
    REPLICA_CONFLICT = "ReplicaConflict"
    CREDENTIALS_ROTATED = "CredentialsRotated"
    CLEANUP_ABANDONED = "CleanupAbandoned"
    PURGED = "Purged"
