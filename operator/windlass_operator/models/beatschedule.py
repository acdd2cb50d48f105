"""BeatSchedule: a task sent again and again. The schema's words are in crds/beatschedules.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from windlass.beat.timing import Cron, Every, Timing, find_zone
from windlass.errors import ConfigurationError
from windlass_operator.models.object_names import checked_name
from windlass_operator.models.quantities import LongSeconds, Seconds
from windlass_operator.models.resource import Identity, Spec, identity_of, read_spec
from windlass_operator.models.taskqueue import QueueRef

#: The schedule on the broker has the name too.
MAX_NAME = 200
_WHY = "the schedule on the broker has it too"
DAY_S = 86_400.0
#: Fired by hand when its value is a new one.
TRIGGER = "windlass.dev/trigger"
#: What crontabs may be written as for short.
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: The form of a crontab line and of a zone's name: what the rules in crds/ say.
LINE = (
    "^(@(hourly|daily|midnight|weekly|monthly|yearly|annually)"
    "|[0-9A-Za-z*,/-]+( +[0-9A-Za-z*,/-]+){4})$"
)
ZONE = "^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
_LINE_FORM = (
    "schedule must be five fields, minute hour day-of-month month day-of-week, with spaces between "
    "them, e.g. '0 3 * * mon-fri'; or @hourly, @daily, @weekly, @monthly, @yearly. A zone goes "
    "into timeZone"
)


class ConcurrencyPolicy(StrEnum):
    """What becomes of a time that comes while an earlier run has not ended."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class CatchUpPolicy(StrEnum):
    """What becomes of times that passed while nobody could fire."""

    NONE = "None"
    ONE = "One"
    ALL = "All"


def _instant(value: object) -> object:
    """Pydantic would take a number in quotes for seconds since 1970; the API server does not."""
    if not isinstance(value, str):
        return value
    try:
        if re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
            return datetime.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("expected a date-time as in RFC 3339: 2027-01-01T06:00:00Z")


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]


def line_of(schedule: str) -> str:
    """Return the crontab line that a schedule means."""
    return MACROS.get(schedule) or " ".join(schedule.split())


def _checked_line(schedule: str) -> str:
    if re.match(LINE, schedule) is None:
        raise ValueError(_LINE_FORM)
    try:
        Cron(line_of(schedule))
    except ConfigurationError as error:  # of which ScheduleError is one
        raise ValueError(str(error).rstrip(".")) from error
    return schedule


def _checked_zone(zone: str) -> str:
    if re.match(ZONE, zone) is None or zone == "Local":
        raise ValueError("timeZone must be an IANA name, such as Europe/Paris or UTC")
    try:
        find_zone(zone)
    except ConfigurationError as error:
        raise ValueError(str(error).rstrip(".")) from error
    return zone


class BeatScheduleSpec(Spec):
    """spec of a BeatSchedule; times in seconds."""

    schedule: Annotated[str, AfterValidator(_checked_line)] | None = Field(
        default=None, min_length=1, max_length=200
    )
    every: LongSeconds | None = Field(default=None, ge=1, le=365 * DAY_S)
    time_zone: Annotated[str, AfterValidator(_checked_zone)] | None = Field(
        default=None, min_length=1, max_length=64
    )
    suspend: bool = False
    starting_deadline_seconds: int | None = Field(default=None, ge=1, le=31_536_000)
    concurrency_policy: ConcurrencyPolicy = ConcurrencyPolicy.ALLOW
    catch_up: CatchUpPolicy = CatchUpPolicy.ONE
    task: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$")
    args: list[Any] = Field(default_factory=list, max_length=64)
    kwargs: dict[str, Any] = Field(default_factory=dict, max_length=64)
    queue_ref: QueueRef
    priority: int = Field(default=0, ge=0, le=9)
    expires: LongSeconds | None = Field(default=None, ge=1, le=30 * DAY_S)
    jitter: Seconds = Field(default=0.0, ge=0, le=DAY_S)
    start_at: Instant | None = None
    end_at: Instant | None = None
    max_runs: int | None = Field(default=None, ge=1, le=1_000_000_000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.schedule is None) == (self.every is None):
            raise ValueError(
                "name exactly one of schedule (a crontab line such as '0 3 * * mon-fri') and every "
                "(an interval such as 30s)"
            )
        if self.time_zone is not None and self.schedule is None:
            raise ValueError("timeZone means something only with schedule; an interval has no zone")
        if self.start_at is not None and self.end_at is not None and self.start_at >= self.end_at:
            raise ValueError("endAt must be later than startAt")
        return self

    @property
    def timing(self) -> Timing:
        """When it is due, as the engine keeps it."""
        if self.schedule is not None:
            return Cron(line_of(self.schedule), self.time_zone or "UTC")
        return Every(round((self.every or 0) * 1000))

    @property
    def words(self) -> str:
        """When it is due, for people."""
        return self.schedule or f"every {duration_words(self.every or 0)}"


def duration_words(seconds: float) -> str:
    """Say a duration: 250ms, 3.2s, 4m30s, 1h, 2d."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    left, parts = round(seconds), ""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts += f"{count}{unit}" if count else ""
    return parts


def milliseconds(moment: datetime | None) -> int:
    """Milliseconds since the epoch, 0 for none."""
    return 0 if moment is None else round(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatSchedule:
    """A BeatSchedule object.

    Attributes:
        trigger: Value of the annotation that fires it by hand, '' for none.
    """

    identity: Identity
    spec: BeatScheduleSpec
    status: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = ""

    @classmethod
    def from_object(cls, body: Mapping[str, Any]) -> Self:
        """Read an object of the API.

        Raises:
            InvalidSpecError: Its spec cannot be used.
        """
        return cls(
            identity=checked_name(identity_of(body), MAX_NAME, _WHY),
            spec=read_spec(BeatScheduleSpec, body),
            status=body.get("status") or {},
            trigger=trigger_of(body.get("metadata") or {}),
        )

    @property
    def owner(self) -> str:
        """Who the schedule on the broker belongs to."""
        return f"kubernetes:{self.identity.uid}"


def trigger_of(metadata: Mapping[str, Any]) -> str:
    """Return the value of the annotation that fires a schedule by hand, '' for none."""
    value = (metadata.get("annotations") or {}).get(TRIGGER, "")
    return str(value)[:1024]
