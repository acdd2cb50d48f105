"""An entry: what is sent, when, and what to do when that cannot be done on time. Data, no I/O.

An entry carries its message ready made (queue, headers, body), so that whoever ticks can fire it:
the app that declared it, another process of it, or the operator, which knows no app.
Next in the walk: `windlass.beat.due`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec

from windlass.beat.timing import Timing
from windlass.errors import DecodeError, ScheduleError, nearest
from windlass.messages import (
    DEFAULT_PRIORITY,
    RUN_MARK,
    Headers,
    Outgoing,
    address,
    check_queue_name,
    encode_tail,
)
from windlass.serializers import registry
from windlass.serializers.base import BODY_PARTS

#: Most runs that `catch_up` "all" makes up for at once.
CATCH_UP_AT_MOST = 100
#: With `catch_up` "none" and no deadline: what is later than this was missed, seconds. Longer than
#: it takes another ticker to step in.
ON_TIME_S = 60.0
#: Owner of entries that were added at run time.
API = "api"
_LONGEST_NAME = 250


class CatchUp(StrEnum):
    """What becomes of due times that nobody fired: none, the latest, or all of them are made up."""

    NONE = "none"
    ONE = "one"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a run that is due while an earlier one has not ended."""

    ALLOW = "Allow"
    FORBID = "Forbid"
    REPLACE = "Replace"


class Entry(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One schedule as it is kept on the broker.

    Attributes:
        name: Unique in the keyspace.
        timing: When it is due.
        task: Name of the task.
        queue: Where its messages go.
        body: The encoded arguments.
        headers: Headers of its messages.
        owner: Who declared it and may change it: "settings:<app>", "api", "kubernetes:<uid>".
        priority: 0 to 9.
        delay_ms: Messages are due so long after they were fired.
        ttl_ms: A fire that has not begun to run after so long is dropped; None: never.
        catch_up: See `CatchUp`.
        starting_deadline_s: What could not be fired within so long was missed; None: no limit, with
            catch_up "none" `ON_TIME_S`.
        overlap: See `Overlap`.
        jitter_s: Each fire is late by 0 to so many seconds, the same ones on every ticker.
        start_ms: Nothing is due before; for an interval the first time. 0: from now on.
        end_ms: Nothing is due after. 0: it never ends.
        max_runs: Ends after so many fires; those by hand do not count.
        result_ttl_ms: Life of the outcome of a run that was replaced; None: results are off.
    """

    name: str
    timing: Timing
    task: str
    queue: str
    body: bytes
    headers: Headers = msgspec.field(default_factory=Headers)
    owner: str = API
    priority: int = DEFAULT_PRIORITY
    delay_ms: int | None = None
    ttl_ms: int | None = None
    catch_up: CatchUp = CatchUp.ONE
    starting_deadline_s: float | None = None
    overlap: Overlap = Overlap.ALLOW
    jitter_s: float = 0.0
    start_ms: int = 0
    end_ms: int = 0
    max_runs: int | None = None
    result_ttl_ms: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would fail when it is due."""
        if not self.name or len(self.name) > _LONGEST_NAME:
            text = f"Schedule name {self.name!r}; expected 1 to {_LONGEST_NAME} characters."
            raise ScheduleError(text)
        check_queue_name(self.queue)
        problem = self._problem()
        if problem:
            text = f"Schedule {self.name!r}: {problem}."
            raise ScheduleError(text)

    def _problem(self) -> str:
        deadline, runs = self.starting_deadline_s, self.max_runs
        if deadline is not None and deadline <= 0:
            return f"starting_deadline is {deadline} s; expected more than 0"
        if self.jitter_s < 0:
            return f"jitter is {self.jitter_s} s; expected 0 or more"
        if self.end_ms and self.end_ms <= self.start_ms:
            return "its end is not after its start"
        if runs is not None and runs < 1:
            return f"max_runs is {runs}; expected 1 or more"
        return ""

    @property
    def is_timed_as(self) -> tuple[object, ...]:
        """What decides about due times: two entries that agree in it are due at the same."""
        return (self.timing, self.start_ms, self.end_ms)

    @property
    def deadline_ms(self) -> float:
        """How late a fire may be, milliseconds."""
        if self.starting_deadline_s is not None:
            return self.starting_deadline_s * 1000
        return ON_TIME_S * 1000 if self.catch_up is CatchUp.NONE else float("inf")

    def encode(self) -> bytes:
        """Return the bytes that are kept."""
        return _encode(self)

    @classmethod
    def decode(cls, name: str, raw: bytes) -> Entry:
        """Read the bytes that are kept.

        Raises:
            DecodeError: They were written by another version.
        """
        try:
            return _decode(raw)
        except (msgspec.DecodeError, ScheduleError) as error:
            text = (
                f"Schedule {name!r} cannot be read by this version: {error} Upgrade, or remove it "
                "with `windlass schedules remove`."
            )
            raise DecodeError(text) from error

    def message(self, uid: str, nominal_ms: int, run_id: str = "") -> Outgoing:
        """Return the message of the fire of one nominal time."""
        when = datetime.fromtimestamp(nominal_ms / 1000, UTC).isoformat()
        own = {**(self.headers.headers or {}), "schedule": self.name, "scheduled_for": when}
        headers = msgspec.structs.replace(self.headers, headers=own)
        return Outgoing(
            id=run_id or fire_id(uid, nominal_ms),
            queue=self.queue,
            tail=encode_tail(address(self.queue, self.task), headers, self.body),
            priority=self.priority,
            delay_ms=self.delay_ms,
            ttl_ms=self.ttl_ms,
        )


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


def make_entry(
    name: str,
    timing: Timing,
    task: str,
    *,
    queue: str,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    **rest: Any,
) -> Entry:
    """Make an entry of a call without an app: arguments are plain data, written as JSON.

    Args:
        name: Unique in the keyspace.
        timing: When it is due.
        task: Name of the task.
        queue: Where its messages go.
        args: Positional arguments.
        kwargs: Keyword arguments.
        **rest: Further fields of `Entry`.

    Raises:
        EncodeError: An argument is no plain data.
        ScheduleError: A field is out of its range.
    """
    body = registry.serializer_named("json").encode((args, kwargs or {}, {}), BODY_PARTS)
    known = set(Entry.__struct_fields__)
    for field in rest:
        if field not in known:
            text = f"Schedule {name!r} has no field {field!r}.{nearest(field, known)}"
            raise ScheduleError(text)
    return Entry(name=name, timing=timing, task=task, queue=queue, body=body, **rest)


def fire_id(uid: str, nominal_ms: int) -> str:
    """Return the id of the message of one nominal time: the same on every ticker.

    A UUID of version 8: workers tell by it that a run belongs to a schedule.
    """
    raw = hashlib.sha256(f"{uid}:{nominal_ms}".encode()).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-{RUN_MARK}{raw[13:16]}-8{raw[17:20]}-{raw[20:32]}"
