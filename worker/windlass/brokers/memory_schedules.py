"""Schedules of an in-memory broker: what the scripts of `windlass.redis_store` do, done here.

Next in the walk: `windlass.brokers.memory_store`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from windlass.beat.runs import Run, read_runs, write_runs
from windlass.beat.store import Fire, Fired, Tick
from windlass.errors import OperationalError
from windlass.messages import Outgoing

if TYPE_CHECKING:
    from windlass.brokers.base import Done, QueueDepth
    from windlass.brokers.memory_store import MemoryStore

#: Runs that a schedule knows of at once.
_RUNS = 100
#: A schedule that nobody has fired for so long does not count as work to come.
_UNFIRED_MS = 60_000


class ScheduleTable(msgspec.Struct):
    """The state, part of a `MemoryStore`.

    Attributes:
        kept: Name -> fields.
        fire_at_ms: Name -> when it fires next, of those that do.
        runs: Id of a run that has not been counted -> how it ended, '' for not yet.
        lead: The ticker that leads, and until when.
        changes: How often schedules were changed.
        handovers: How often a lead was given up.
    """

    kept: dict[str, dict[str, bytes]] = {}
    fire_at_ms: dict[str, int] = {}
    runs: dict[str, str] = {}
    lead: tuple[str, int] = ("", 0)
    changes: int = 0
    handovers: int = 0

    @property
    def news(self) -> int:
        """Grows with everything that a ticker who waits wants to know."""
        return self.changes + self.handovers

    def seen_from(self, depth: QueueDepth, now_ms: int, horizon_ms: int) -> QueueDepth:
        """Return the depth of a queue with the fires that are to come, as depth.lua counts them."""
        times = [at for name, at in self.fire_at_ms.items() if self._queue(name) == depth.queue]
        soon = sum(now_ms - _UNFIRED_MS < at <= now_ms + horizon_ms for at in times)
        coming = [at for at in (*times, depth.next_due_ms) if at > now_ms]
        return msgspec.structs.replace(
            depth, due_soon=depth.due_soon + soon, next_due_ms=min(coming, default=0)
        )

    def _queue(self, name: str) -> str:
        return self.kept[name]["queue"].decode()

    def end_run(self, ended: Done, now_ms: int) -> None:
        """Note how a message ended, if it is a run of a schedule."""
        if ended.id in self.runs and ended.state:
            self.runs[ended.id] = f"{ended.state}:{round(ended.duration_ms)}:{now_ms}"


class MemorySchedules:
    """Implements `windlass.beat.store.Schedules`.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._table = store.schedules
        self._heard: int | None = None
        self._is_interrupted = False

    def now_ms(self) -> int:
        """See `Schedules.now_ms`."""
        return self._store.now_ms

    def names(self) -> list[str]:
        """See `Schedules.names`."""
        with self._store.changed:
            return sorted(self._table.kept)

    def load(self, names: Sequence[str]) -> list[dict[str, bytes]]:
        """See `Schedules.load`."""
        with self._store.changed:
            return [dict(self._table.kept.get(name, {})) for name in names]

    def run_ends(self, ids: Sequence[str]) -> dict[str, str]:
        """See `Schedules.run_ends`."""
        with self._store.changed:
            found = {id_: self._end_of(id_, expires=False) for id_ in ids}
            return {id_: end for id_, end in found.items() if end is not None}

    def _end_of(self, message_id: str, *, expires: bool) -> str | None:
        """Return how a run has ended, '' where that is not known; None while it has not."""
        store, message = self._store, self._store.messages.get(message_id)
        if message is None:
            return self._table.runs.get(message_id, "")
        obit = store.queue(message.queue).dead.get(message_id)
        if obit is not None:
            return self._table.runs.get(message_id) or f"FAILURE:0:{obit.at_ms}"
        return "" if expires and _is_expired(message.raw, store.now_ms) else None

    def set(
        self,
        name: str,
        *,
        queue: str,
        old_queue: str,
        expected: int,
        fresh: bool,
        fire_at_ms: int | None,
        fields: Mapping[str, bytes],
    ) -> int:
        """See `Schedules.set`."""
        store, table = self._store, self._table
        with store.changed:
            kept = table.kept.get(name, {})
            if int(kept.get("generation", b"0")) != expected:
                return 0
            kept = {**({} if fresh else kept), **fields, "generation": b"%d" % (expected + 1)}
            table.kept[name] = {field: value for field, value in kept.items() if value}
            self._move(name, fire_at_ms)
            table.changes += 1
            store.changed.notify_all()
            return expected + 1

    def _move(self, name: str, fire_at_ms: int | None) -> None:
        if fire_at_ms is None:
            self._table.fire_at_ms.pop(name, None)
        else:
            self._table.fire_at_ms[name] = fire_at_ms

    def remove(self, name: str, *, queue: str, expected: int) -> bool:
        """See `Schedules.remove`."""
        store, table = self._store, self._table
        with store.changed:
            kept = table.kept.get(name)
            if kept is None or int(kept.get("generation") or 0) != expected:
                return False
            for run in read_runs(kept.get("active")):
                table.runs.pop(run.id, None)
            del table.kept[name]
            table.fire_at_ms.pop(name, None)
            table.changes += 1
            store.changed.notify_all()
            return True

    def tick(self, holder: str, *, lead_ms: int, ahead_ms: int, limit: int) -> Tick:
        """See `Schedules.tick`."""
        with self._store.changed:
            table, now_ms = self._table, self._store.now_ms
            leads = table.lead[0] == holder or table.lead[1] <= now_ms
            if leads and lead_ms > 0:
                table.lead = (holder, now_ms + lead_ms)
            elif table.lead[0] == holder:
                table.lead, leads = ("", 0), False
                table.handovers += 1
                self._store.changed.notify_all()
            due = sorted(table.fire_at_ms.items(), key=lambda item: (item[1], item[0]))
            soon = [item for item in due if item[1] <= now_ms + ahead_ms][:limit] if leads else []
            head = due[len(soon)][1] if leads and len(due) > len(soon) else 0
            return Tick(
                now_ms=now_ms,
                until_ms=table.lead[1],
                leads=leads,
                changes=table.changes,
                head_ms=head,
                due=soon,
            )

    def fire(self, fires: Sequence[Fire]) -> list[Fired]:
        """See `Schedules.fire`."""
        with self._store.changed:
            return [Fired(self._fire(fire), self._store.now_ms) for fire in fires]

    def _fire(self, fire: Fire) -> str:
        kept, now_ms = self._table.kept.get(fire.name), self._store.now_ms
        if kept is None:
            return "GONE"
        refusal = _refusal(kept, fire, now_ms)
        if refusal:
            return refusal
        active = self._fold(kept)
        what = "FIRED" if fire.fires else "MISSED"
        if fire.fires and fire.overlap == "Forbid" and active:
            what = "OVERLAP"
            _count(kept, "overlaps")
        nominal = b"%d" % fire.nominal_ms
        kept |= {"last": nominal, "active": write_runs(active)}
        if fire.missed:
            _count(kept, "missed", fire.missed)
            kept["last_missed"] = nominal
        if what == "FIRED":
            self._store.enqueue([fire.message])
            _count(kept, "fired")
            kept |= {"fired_at": b"%d" % now_ms, "last_fired": nominal}
            self._note_run(kept, active, Run(fire.nominal_ms, fire.message.id))
        is_over = fire.max_runs is not None and int(kept.get("fired", b"0")) >= fire.max_runs
        self._move(fire.name, None if is_over else fire.next_at_ms)
        return what

    def trigger(self, name: str, *, generation: int, nominal_ms: int, message: Outgoing) -> bool:
        """See `Schedules.trigger`."""
        with self._store.changed:
            kept = self._table.kept.get(name)
            if kept is None or int(kept["generation"]) != generation:
                return False
            if kept.get("triggered_id") == message.id.encode():
                return True
            active = self._fold(kept)
            if self._store.enqueue([message])[0]:
                self._note_run(kept, active, Run(nominal_ms, message.id))
            _count(kept, "triggered")
            kept["triggered_id"] = message.id.encode()
            return True

    def _note_run(self, kept: dict[str, bytes], active: list[Run], run: Run) -> None:
        for old in active[: max(0, len(active) + 1 - _RUNS)]:
            self._table.runs.pop(old.id, None)
        self._table.runs[run.id] = ""
        kept["active"] = write_runs([*active, run][-_RUNS:])

    def _fold(self, kept: dict[str, bytes]) -> list[Run]:
        """Note in a schedule how its runs have ended; returns those that have not."""
        active = []
        for run in read_runs(kept.get("active")):
            ended = self._end_of(run.id, expires=True)
            if ended is None:
                active.append(run)
                continue
            _note_end(kept, run, ended)
            self._table.runs.pop(run.id, None)
        return active

    def wait(self, timeout_s: float) -> bool:
        """See `Schedules.wait`."""
        store, deadline = self._store, monotonic() + timeout_s
        with store.changed:
            if self._heard is None:
                self._heard = self._table.news
                return True
            while self._table.news == self._heard:
                left_s = deadline - monotonic()
                if left_s <= 0:
                    return False
                if self._is_interrupted:
                    self._is_interrupted = False
                    raise OperationalError("The wait for schedules was interrupted.")
                store.changed.wait(left_s)
            self._heard = self._table.news
            return True

    def interrupt(self) -> None:
        """See `Schedules.interrupt`."""
        with self._store.changed:
            self._is_interrupted = True
            self._store.changed.notify_all()

    def close(self) -> None:
        """See `Schedules.close`."""


def _count(kept: dict[str, bytes], field: str, by: int = 1) -> None:
    kept[field] = b"%d" % (int(kept.get(field, b"0")) + by)


def _refusal(kept: dict[str, bytes], fire: Fire, now_ms: int) -> str:
    if int(kept["generation"]) != fire.generation:
        return "CHANGED"
    if "paused" in kept:
        return "PAUSED"
    if fire.nominal_ms <= int(kept.get("last", b"0")):
        return "PAST"
    if fire.fire_at_ms > now_ms:
        return "EARLY"
    is_late = fire.latest_ms is not None and now_ms > fire.latest_ms
    return "LATE" if fire.fires and is_late else ""


def _is_expired(raw: bytes, now_ms: int) -> bool:
    expires_ms = int.from_bytes(raw[14:20], "big")
    return 0 < expires_ms <= now_ms


def _note_end(kept: dict[str, bytes], run: Run, ended: str) -> None:
    state, took, at = ended.split(":") if ended else ("", "", "")
    kept |= {
        "run": run.id.encode(),
        "run_nominal": b"%d" % run.nominal_ms,
        "state": state.encode(),
        "took_ms": took.encode(),
        "ended": at.encode(),
    }
    if state == "SUCCESS":
        kept |= {"failures": b"0", "succeeded": at.encode()}
    elif state == "FAILURE":
        _count(kept, "failures")
