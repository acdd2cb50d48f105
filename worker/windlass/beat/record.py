"""One schedule as the broker has it: entry, times, counts, how its last run ended. Pure.

Next in the walk: `windlass.control_plane.schedules`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from windlass.beat import due
from windlass.beat.entry import Entry
from windlass.beat.runs import Run, read_runs
from windlass.errors import DecodeError


class Schedule(msgspec.Struct, kw_only=True, frozen=True):
    """One schedule. Times are milliseconds of the broker's clock, 0 where there is none.

    Attributes:
        entry: What was declared.
        uid: Its identity; another one after it was removed and declared again.
        generation: Counts the changes.
        since_ms: Nothing before was ever due: declared, timed anew or resumed then.
        last_ms: The last nominal time that was dealt with: the fence.
        is_paused: It does not fire.
        fired: How many nominal times were fired.
        missed: How many were not, because nobody ticked in time.
        overlaps: How many were passed over, because an earlier run had not ended (Forbid).
        triggered: How often it was fired by hand.
        triggered_id: Of the message of the last of these, '' for none.
        fired_at_ms: When it was fired last.
        last_fired_ms: The nominal time of that.
        last_missed_ms: The latest nominal time after which some were missed.
        active: Runs that have not ended, the oldest first.
        run: The last run that has ended, None for none.
        state: How: SUCCESS, FAILURE, REVOKED, IGNORED; '' when that is not known.
        took_ms: How long it ran.
        ended_ms: When it ended.
        succeeded_ms: When one ended as SUCCESS last.
        failures: How many ended as FAILURE since.
    """

    entry: Entry
    uid: str
    generation: int
    since_ms: int
    last_ms: int = 0
    is_paused: bool = False
    fired: int = 0
    missed: int = 0
    overlaps: int = 0
    triggered: int = 0
    triggered_id: str = ""
    fired_at_ms: int = 0
    last_fired_ms: int = 0
    last_missed_ms: int = 0
    active: tuple[Run, ...] = ()
    run: Run | None = None
    state: str = ""
    took_ms: int = 0
    ended_ms: int = 0
    succeeded_ms: int = 0
    failures: int = 0

    @property
    def base(self) -> due.Base:
        """What its due times follow from."""
        return due.Base(self.uid, self.last_ms, self.since_ms)

    @property
    def next_ms(self) -> int | None:
        """The next nominal time; None while it is paused, and when there is none any more."""
        is_over = self.entry.max_runs is not None and self.fired >= self.entry.max_runs
        return None if self.is_paused or is_over else due.next_nominal(self.entry, self.base)

    def with_ends(self, ends: Mapping[str, str]) -> Schedule:
        """Return it with the runs that have ended since it last fired.

        Args:
            ends: Id -> "STATE:ms:at", '' where that is not known; runs that go on are not in it.
        """
        changes: dict[str, object] = {}
        failures, succeeded_ms = self.failures, self.succeeded_ms
        for run in self.active:
            if run.id not in ends:
                continue
            state, took, at = (ends[run.id] or ":0:0").split(":")
            changes |= {"run": run, "state": state, "took_ms": int(took), "ended_ms": int(at)}
            if state == "SUCCESS":
                failures, succeeded_ms = 0, int(at)
            failures += state == "FAILURE"
        if not changes:
            return self
        active = tuple(run for run in self.active if run.id not in ends)
        changes |= {"active": active, "failures": failures, "succeeded_ms": succeeded_ms}
        return msgspec.structs.replace(self, **changes)


def read_record(name: str, fields: Mapping[str, bytes]) -> Schedule:
    """Read the fields of a schedule, as they are kept.

    Raises:
        DecodeError: They were written by another version, or are none of a schedule.
    """
    try:
        return _read(name, fields)
    except (KeyError, ValueError) as error:
        text = (
            f"Schedule {name!r} cannot be read by this version: what the broker has under its name "
            f"is no schedule ({error!r}). Remove it with `windlass schedules remove`, and declare "
            "it again."
        )
        raise DecodeError(text) from error


def _read(name: str, fields: Mapping[str, bytes]) -> Schedule:
    def number(field: str) -> int:
        return int(fields.get(field) or 0)

    run = fields.get("run", b"").decode()
    return Schedule(
        entry=Entry.decode(name, fields["entry"]),
        uid=fields["uid"].decode(),
        generation=number("generation"),
        since_ms=number("since"),
        last_ms=number("last"),
        is_paused="paused" in fields,
        fired=number("fired"),
        missed=number("missed"),
        overlaps=number("overlaps"),
        triggered=number("triggered"),
        triggered_id=fields.get("triggered_id", b"").decode(),
        fired_at_ms=number("fired_at"),
        last_fired_ms=number("last_fired"),
        last_missed_ms=number("last_missed"),
        active=tuple(read_runs(fields.get("active"))),
        run=Run(number("run_nominal"), run) if run else None,
        state=fields.get("state", b"").decode(),
        took_ms=number("took_ms"),
        ended_ms=number("ended"),
        succeeded_ms=number("succeeded"),
        failures=number("failures"),
    )
