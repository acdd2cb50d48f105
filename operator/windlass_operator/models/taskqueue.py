"""TaskQueue: a queue and its settings. The schema's words are in crds/taskqueues.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, model_validator

from windlass_operator.models.object_names import OBJECT_NAME, checked_name
from windlass_operator.models.quantities import LongSeconds, Rate, ShortSeconds, parse_rate
from windlass_operator.models.resource import Identity, Spec, identity_of, read_spec

#: The binding Secret carries the name as a label.
MAX_NAME = 63
_WHY = "the binding Secret carries it as a label"
DAY_S = 86_400.0


class QueueRef(Spec):
    """A TaskQueue object of the same namespace, as other kinds name it."""

    name: str = Field(min_length=1, max_length=MAX_NAME, pattern=OBJECT_NAME)


class DeletionPolicy(StrEnum):
    """What happens to waiting messages when the object is deleted."""

    RETAIN = "Retain"
    PURGE = "Purge"


class SecretKeyRef(Spec):
    """A key of a Secret of the same namespace."""

    name: str = Field(min_length=1, max_length=253, pattern=OBJECT_NAME)
    key: str = Field(default="url", min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")


class BrokerRef(Spec):
    """Where the queue lives: exactly one of the two."""

    url: str | None = Field(default=None, max_length=2048, pattern=r"^(redis|rediss)://.+$")
    secret_key_ref: SecretKeyRef | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.url is None) == (self.secret_key_ref is None):
            raise ValueError("name exactly one of url and secretKeyRef")
        if self.url is not None and "@" in self.url:
            raise ValueError("url must not carry credentials; put the address into a Secret")
        return self


class DeadLetterSpec(Spec):
    """What becomes a dead letter, and how long it is kept. A time of 0 has no end."""

    retention: LongSeconds = Field(default=7 * DAY_S, ge=0, le=3650 * DAY_S)
    parked_after: LongSeconds = Field(default=0.0, ge=0, le=3650 * DAY_S)
    expired: bool = False
    failed: bool = False


class TaskQueueSpec(Spec):
    """spec of a TaskQueue; times in seconds."""

    queue_name: str | None = Field(
        default=None, min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/@-]*$"
    )
    broker: BrokerRef | None = None
    drain_target: LongSeconds = Field(default=60.0, ge=1, le=30 * DAY_S)
    expected_task_duration: ShortSeconds | None = Field(default=None, ge=0.001, le=604_800)
    max_deliveries: int = Field(default=3, ge=1, le=1000)
    rate_limit: Rate | None = None
    max_concurrency: int | None = Field(default=None, ge=1, le=1_000_000)
    dead_letter: DeadLetterSpec = DeadLetterSpec()
    paused: bool = False
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueue:
    """A TaskQueue object."""

    identity: Identity
    spec: TaskQueueSpec
    status: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_object(cls, body: Mapping[str, Any]) -> Self:
        """Read an object of the API.

        Raises:
            InvalidSpecError: Its spec cannot be used.
        """
        return cls(
            identity=checked_name(identity_of(body), MAX_NAME, _WHY),
            spec=read_spec(TaskQueueSpec, body),
            status=body.get("status") or {},
        )

    @property
    def queue_name(self) -> str:
        """Name on the broker: the one place where the default is resolved."""
        return self.spec.queue_name or self.identity.name

    @property
    def rate_per_s(self) -> float | None:
        """Messages a second that may be begun, None for no limit."""
        limit = self.spec.rate_limit
        return None if limit is None else parse_rate(limit)
