"""WorkerPool: workers of one app for some queues. The words are in crds/workerpools.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from windlass_operator.models.object_names import checked_name
from windlass_operator.models.pod_template import checked_template
from windlass_operator.models.quantities import Kibibytes, Seconds
from windlass_operator.models.resource import Identity, Spec, identity_of, read_spec
from windlass_operator.models.taskqueue import QueueRef

#: Deployments and Pods carry the name with a suffix; labels end at 63 characters.
MAX_NAME = 47
_WHY = "Deployments and Pods carry it with a suffix"
_DEFAULT_TO_ZERO_S = 300.0


class PoolKind(StrEnum):
    """How a worker runs tasks."""

    PREFORK = "prefork"
    THREADS = "threads"
    ASYNCIO = "asyncio"
    SOLO = "solo"


class ScaleDownPolicy(StrEnum):
    """Which workers scaling in may remove."""

    IDLE_ONLY = "IdleOnly"
    DRAIN = "Drain"
    IMMEDIATE = "Immediate"


class FallbackKind(StrEnum):
    """What to do while the broker cannot be read."""

    HOLD = "Hold"
    STATIC = "Static"
    AT_LEAST = "AtLeast"


class RolloutStrategy(StrEnum):
    """How a new template reaches the workers."""

    ROLLING_UPDATE = "RollingUpdate"
    DRAIN = "Drain"


class PullPolicy(StrEnum):
    """When the image is pulled."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class TimeLimits(Spec):
    """Limits of every run, seconds."""

    soft: Seconds | None = Field(default=None, ge=1, le=604_800)
    hard: Seconds | None = Field(default=None, ge=1, le=604_800)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.soft is not None and self.hard is not None and self.soft >= self.hard:
            raise ValueError("soft must be shorter than hard")
        return self


class ScaleUp(Spec):
    """How the pool grows."""

    window: Seconds = Field(default=0.0, ge=0, le=3600)


class ScaleDown(Spec):
    """How the pool shrinks; times in seconds."""

    policy: ScaleDownPolicy = ScaleDownPolicy.IDLE_ONLY
    window: Seconds = Field(default=300.0, ge=0, le=3600)
    to_zero_after: Seconds | None = Field(default=None, ge=0, le=604_800)
    max_disruption_percent: int = Field(default=50, ge=1, le=100)
    cordon_timeout: Seconds = Field(default=60.0, ge=1, le=3600)

    @property
    def idle_time_s(self) -> float:
        """Idle time before the last worker goes."""
        return _DEFAULT_TO_ZERO_S if self.to_zero_after is None else self.to_zero_after


class FallbackSpec(Spec):
    """What to do while the broker cannot be read."""

    behavior: FallbackKind = FallbackKind.HOLD
    replicas: int | None = Field(default=None, ge=0, le=10_000)
    failure_threshold: int = Field(default=3, ge=1, le=1000)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.behavior is not FallbackKind.HOLD and self.replicas is None:
            raise ValueError("behavior Static and AtLeast need replicas")
        if self.behavior is FallbackKind.HOLD and self.replicas is not None:
            raise ValueError("replicas means nothing with behavior Hold")
        return self


class Autoscaling(Spec):
    """Workers follow the work."""

    min_replicas: int = Field(default=0, ge=0, le=10_000)
    max_replicas: int = Field(ge=1, le=10_000)
    tasks_per_slot: int = Field(default=1, ge=1, le=100_000)
    target_utilization: int = Field(default=80, ge=10, le=100)
    activation: int = Field(default=0, ge=0, le=1_000_000)
    wake_horizon: Seconds = Field(default=60.0, ge=0, le=86_400)
    scale_up: ScaleUp = ScaleUp()
    scale_down: ScaleDown = ScaleDown()
    fallback: FallbackSpec | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be more than maxReplicas")
        if self.scale_down.to_zero_after is not None and self.min_replicas > 0:
            raise ValueError("scaleDown.toZeroAfter means something only with minReplicas 0")
        fallback = self.fallback
        if fallback and fallback.replicas is not None and fallback.replicas > self.max_replicas:
            raise ValueError("fallback.replicas must not be more than maxReplicas")
        return self


class Rollout(Spec):
    """How a new template reaches the workers."""

    strategy: RolloutStrategy = RolloutStrategy.ROLLING_UPDATE
    max_old_versions: int | None = Field(default=None, ge=1, le=10)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.strategy is not RolloutStrategy.DRAIN and self.max_old_versions is not None:
            raise ValueError("maxOldVersions means something only with strategy Drain")
        return self

    @property
    def old_versions(self) -> int:
        """Old versions that may work on: the one place where the default is resolved."""
        return 2 if self.max_old_versions is None else self.max_old_versions


class WorkerPoolSpec(Spec):
    """spec of a WorkerPool; times in seconds."""

    app: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[A-Za-z_][A-Za-z0-9_.]*(:[A-Za-z_][A-Za-z0-9_.]*)?$",
    )
    image: str = Field(min_length=1, max_length=1024, pattern=r"^[^\s]+$")
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    queues: tuple[QueueRef, ...] = Field(min_length=1, max_length=50)
    pool: PoolKind = PoolKind.PREFORK
    concurrency: int = Field(default=1, ge=1, le=1000)
    time_limits: TimeLimits = TimeLimits()
    drain_timeout: Seconds = Field(default=300.0, ge=5, le=604_800)
    max_tasks_per_child: int | None = Field(default=None, ge=1, le=10_000_000)
    max_memory_per_child: Kibibytes | None = None
    replicas: int | None = Field(default=None, ge=0, le=10_000)
    autoscaling: Autoscaling | None = None
    rollout: Rollout = Rollout()
    paused: bool = False
    pod_template: Annotated[dict[str, Any], AfterValidator(checked_template)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.replicas is None) == (self.autoscaling is None):
            raise ValueError("name exactly one of replicas and autoscaling")
        if self.pool is PoolKind.SOLO and self.concurrency != 1:
            raise ValueError("pool solo runs one task at a time; set concurrency to 1")
        if self.pool is PoolKind.SOLO and self.time_limits.hard is not None:
            raise ValueError("pool solo cannot enforce timeLimits.hard")
        if self.pool is PoolKind.SOLO and (self.max_tasks_per_child or self.max_memory_per_child):
            raise ValueError(
                "pool solo has no process to replace: leave out maxTasksPerChild, maxMemoryPerChild"
            )
        names = [queue.name for queue in self.queues]
        if len(set(names)) != len(names):
            raise ValueError("queues must not name a queue twice")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerPool:
    """A WorkerPool object."""

    identity: Identity
    spec: WorkerPoolSpec
    status: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_object(cls, body: Mapping[str, Any]) -> Self:
        """Read an object of the API.

        Raises:
            InvalidSpecError: Its spec cannot be used.
        """
        return cls(
            identity=checked_name(identity_of(body), MAX_NAME, _WHY),
            spec=read_spec(WorkerPoolSpec, body),
            status=body.get("status") or {},
        )

    @property
    def policy(self) -> ScaleDownPolicy:
        """Which workers scaling in may remove."""
        auto = self.spec.autoscaling
        return auto.scale_down.policy if auto else ScaleDownPolicy.IDLE_ONLY

    @property
    def grace_s(self) -> float:
        """How long a worker may take to end: the longest a task may run, or the drain time-out.

        None at all with policy Immediate: what runs is handed back.
        """
        if self.policy is ScaleDownPolicy.IMMEDIATE:
            return 0.0
        hard = self.spec.time_limits.hard
        return self.spec.drain_timeout if hard is None else hard + 15.0
