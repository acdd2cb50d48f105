"""Every condition type, condition reason and event reason: part of the API, each with its meaning.

`docs/reference/conditions.md` lists them; a test keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Types of conditions. Degraded, ReplicaConflict and Warning are abnormal when True."""

    #: It does what it should.
    READY = "Ready"
    #: Workers of the wanted version are being made.
    PROGRESSING = "Progressing"
    #: Something is broken that will not mend itself.
    DEGRADED = "Degraded"
    #: The work decides the number of workers.
    SCALING_ACTIVE = "ScalingActive"
    #: A bound decides it instead.
    SCALING_LIMITED = "ScalingLimited"
    #: The queues of the pool can be read.
    METRICS_AVAILABLE = "MetricsAvailable"
    #: spec.paused is set.
    PAUSED = "Paused"
    #: Somebody else keeps writing the Deployment's replicas.
    REPLICA_CONFLICT = "ReplicaConflict"
    #: It works, but not as one may think.
    WARNING = "Warning"
    #: spec.suspend is set.
    SUSPENDED = "Suspended"


class ConditionReason(StrEnum):
    """Why a condition is what it is, beside the broker errors of `observed.BrokerError`."""

    #: All is as wanted.
    AS_EXPECTED = "AsExpected"
    #: The queue's broker was not looked at yet.
    BROKER_UNKNOWN = "BrokerUnknown"
    #: The spec cannot be used; retried when it changes.
    INVALID_SPEC = "InvalidSpec"
    #: The API server refuses a child, e.g. since podTemplate has a field that pods do not have.
    CHILD_REFUSED = "ChildRefused"
    #: A pool names a TaskQueue that is not there; it serves its others.
    QUEUE_NOT_DECLARED = "QueueNotDeclared"
    #: No queue of the pool can be served; its workers are left as they are.
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
    #: A worker was told to take nothing more, long ago, and no scale-down of ours wants it so.
    CORDON_STUCK = "CordonStuck"
    #: The schedule does not fire, but by hand.
    SUSPENDED_BY_USER = "SuspendedByUser"
    #: The broker has a schedule of this name that is somebody else's.
    SCHEDULE_NAME_CONFLICT = "ScheduleNameConflict"
    #: No further time is to come.
    SCHEDULE_OVER = "ScheduleOver"
    #: What the broker has under its name cannot be read by this version.
    SCHEDULE_UNREADABLE = "ScheduleUnreadable"
    #: Runs of the schedule have failed since one succeeded.
    RUNS_FAIL = "RunsFail"
    #: A crontab line restricts both day fields; both must match, unlike in cron.
    BOTH_DAYS_MUST_MATCH = "BothDaysMustMatch"


class EventReason(StrEnum):
    """Reasons of Events."""

    #: More workers, and why.
    SCALED_UP = "ScaledUp"
    #: Fewer workers, and why.
    SCALED_DOWN = "ScaledDown"
    #: The last worker went.
    SCALED_TO_ZERO = "ScaledToZero"
    #: Workers that were to go stayed busy, or ready, and are kept.
    SCALE_DOWN_ABANDONED = "ScaleDownAbandoned"
    #: Other workers went than those that were emptied.
    WRONG_VICTIM = "ScaleDownWrongVictim"
    #: Workers of a new version are being made.
    ROLLOUT_STARTED = "RolloutStarted"
    #: A broker's credentials changed; workers are started anew with the new ones.
    CREDENTIALS_ROTATED = "CredentialsRotated"
    #: A worker takes nothing since long, and no scale-down of ours wants it so.
    CORDON_STUCK = "CordonStuck"
    #: An old version has no workers left.
    OLD_VERSION_DRAINED = "OldVersionDrained"
    #: Somebody else wrote the Deployment's replicas.
    REPLICA_CONFLICT = "ReplicaConflict"
    #: Somebody else changed a child, and it was set back.
    CHILD_CORRECTED = "ChildCorrected"
    #: A queue's broker cannot be used.
    BROKER_UNREACHABLE = "BrokerUnreachable"
    #: A queue's broker can be used again.
    BROKER_RECOVERED = "BrokerRecovered"
    #: Messages became dead letters, and why.
    DEAD_LETTERED = "DeadLettered"
    #: What a deleted queue or schedule has on its broker could not be removed in time.
    CLEANUP_ABANDONED = "CleanupAbandoned"
    #: A deleted queue's messages were purged.
    PURGED = "Purged"
    #: A schedule was fired by hand.
    SCHEDULE_TRIGGERED = "ScheduleTriggered"
    #: Times of a schedule were missed, since nobody could fire in time.
    TIMES_MISSED = "TimesMissed"
    #: A run of a schedule failed.
    RUN_FAILED = "RunFailed"
