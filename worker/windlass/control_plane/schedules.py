"""Schedules as people, the CLI and the operator see and change them; changes are seen at once.

    put_schedule, remove_schedule, reconcile_schedules    declare
    pause_schedule, resume_schedule, trigger_schedule     steer
    read_schedules, examine_schedules                     see: next and last times, outcomes

What a change does to due times: the fence (the last nominal time that was dealt with) stays for
ever. A new crontab, zone, interval, start or end counts from the moment of the change; so does a
schedule that is resumed. Any other change leaves due times as they are.
Next in the walk: `windlass.beat.ticker`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

import msgspec

from windlass import events
from windlass.beat import due
from windlass.beat.entry import Entry, fire_id
from windlass.beat.record import Schedule, read_record
from windlass.beat.store import Schedules
from windlass.brokers.memory import MemoryBroker
from windlass.brokers.memory_schedules import MemorySchedules
from windlass.brokers.redis import RedisBroker
from windlass.errors import DecodeError, ScheduleError, nearest
from windlass.log import get_logger
from windlass.redis_store.schedules import RedisSchedules

log = get_logger(__name__)
T = TypeVar("T")
AnyBroker: TypeAlias = RedisBroker | MemoryBroker
#: Tries to change a schedule that others change at the same time.
_TRIES = 20


class Put(msgspec.Struct, frozen=True):
    """What a declaration did: "created", "changed" or "unchanged"; and the generation now."""

    what: str
    generation: int


class Reconciled(msgspec.Struct, frozen=True):
    """Names of the schedules that a reconciliation created, changed and removed."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def schedules_of(broker: AnyBroker) -> Schedules:
    """Return a view of a broker's schedules; who asks for it closes it."""
    if isinstance(broker, MemoryBroker):
        return MemorySchedules(broker.store)
    return RedisSchedules(broker)


def read_schedules(broker: AnyBroker, names: Sequence[str] | None = None) -> list[Schedule]:
    """Return schedules with their times and outcomes.

    Unknown names are left out, and so are, with a line in the log, those that another version has
    written in a way that this one cannot read.

    Args:
        broker: Where.
        names: Which; None for all, by name.
    """
    return list(examine_schedules(broker, names).found)


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """Schedules as they were read.

    Attributes:
        found: Those that can be read, with their times and outcomes.
        refused: Name -> why it cannot be read, in words for people.
    """

    found: tuple[Schedule, ...]
    refused: dict[str, str]


def examine_schedules(broker: AnyBroker, names: Sequence[str] | None = None) -> Examined:
    """As `read_schedules`, and say which cannot be read: one of them hides no other."""
    store = schedules_of(broker)
    names = store.names() if names is None else names
    known, refused = _readable(zip(names, store.load(names), strict=True))
    ends = store.run_ends([run.id for schedule in known for run in schedule.active])
    return Examined(found=tuple(one.with_ends(ends) for one in known), refused=refused)


def read_schedule(broker: AnyBroker, name: str) -> Schedule:
    """Return one schedule.

    Raises:
        ScheduleError: There is none of this name; the text names the nearest one.
    """
    found = read_schedules(broker, [name])
    if not found:
        raise _unknown(schedules_of(broker), name)
    return found[0]


def put_schedule(
    broker: AnyBroker, entry: Entry, *, uid: str | None = None, is_paused: bool = False
) -> Put:
    """Declare a schedule, or change it to this. A pause stays.

    Args:
        broker: Where.
        entry: What it is to be.
        uid: Identity of the declaring object. Another one than before makes it a new schedule,
            which forgets the last nominal time. None keeps it.
        is_paused: A new one begins paused.

    Raises:
        ScheduleError: The name belongs to another owner.
    """
    store = schedules_of(broker)

    def change() -> Put | None:
        old = _load(store, entry.name)
        if old is not None and old.entry.owner != entry.owner:
            raise _owned(old, entry.owner)
        if old is None or (uid is not None and uid != old.uid):
            base = due.Base(uid or os.urandom(8).hex(), 0, store.now_ms())
            generation = _create(store, entry, base, old, is_paused)
            return Put("created", generation) if generation else None
        if old.entry == entry:
            return Put("unchanged", old.generation)
        generation = _change(store, entry, old)
        return Put("changed", generation) if generation else None

    return _retried(change, entry.name)


def reconcile_schedules(broker: AnyBroker, entries: Iterable[Entry], owner: str) -> Reconciled:
    """Make the schedules of an owner these, and no others. Those of other owners are left alone.

    Raises:
        ScheduleError: A name belongs to another owner; the others are declared all the same.
    """
    wanted = {entry.name: entry for entry in entries}
    outcomes: dict[str, list[str]] = {"created": [], "changed": [], "unchanged": []}
    refused: ScheduleError | None = None
    store = schedules_of(broker)
    names = store.names()
    known, _ = _readable(zip(names, store.load(names), strict=True))
    there = {schedule.entry.name: schedule.entry for schedule in known}
    for name, entry in wanted.items():
        if there.get(name) == entry:
            continue
        try:
            outcomes[put_schedule(broker, entry).what].append(name)
        except ScheduleError as error:
            refused = error
    removed = [
        name
        for name, entry in there.items()
        if name not in wanted
        and entry.owner == owner
        and remove_schedule(broker, name, owner=owner)
    ]
    if refused is not None:
        raise refused
    return Reconciled(tuple(outcomes["created"]), tuple(outcomes["changed"]), tuple(removed))


def remove_schedule(broker: AnyBroker, name: str, *, owner: str | None = None) -> bool:
    """Remove a schedule; what it has sent stays. Returns whether there was one.

    Args:
        broker: Where.
        name: Which.
        owner: Remove it only if it is this owner's; None: whoever's it is.

    Raises:
        ScheduleError: It belongs to another owner.
    """
    store = schedules_of(broker)

    def change() -> bool | None:
        fields = store.load([name])[0]
        if not fields:
            return False
        # Not decoded where that is not needed: what cannot be read can be removed.
        if owner is not None and (old := read_record(name, fields)).entry.owner != owner:
            raise _owned(old, owner)
        # What is no schedule names no queue; any will do.
        queue = fields.get("queue", b"none").decode(errors="replace")
        generation = int(fields.get("generation") or 0)
        return store.remove(name, queue=queue, expected=generation) or None

    return _retried(change, name)


def pause_schedule(broker: AnyBroker, name: str) -> bool:
    """Fire it no more until it is resumed. Returns whether it was not paused before.

    Raises:
        ScheduleError: There is none of this name.
    """
    store = schedules_of(broker)

    def change() -> bool | None:
        old = _known(store, name)
        if old.is_paused:
            return False
        return bool(_write(store, old.entry, old, None, {"paused": b"1"})) or None

    return _retried(change, name)


def resume_schedule(broker: AnyBroker, name: str) -> bool:
    """Fire it again, from now on: what was due during the pause is not made up for.

    Returns:
        Whether it was paused.

    Raises:
        ScheduleError: There is none of this name.
    """
    store = schedules_of(broker)

    def change() -> bool | None:
        old = _known(store, name)
        if not old.is_paused:
            return False
        base = due.Base(old.uid, old.last_ms, store.now_ms())
        fields = {"paused": b"", "since": b"%d" % base.since_ms}
        return bool(_write(store, old.entry, old, base, fields)) or None

    return _retried(change, name)


def trigger_schedule(broker: AnyBroker, name: str, run_id: str = "") -> str:
    """Send its message now, beside its times; also while it is paused. Returns the task id.

    Args:
        broker: Where.
        name: Which.
        run_id: Id of the run, from `fire_id`; '' for a new one. The one that it was fired with last
            is not fired again, so that who is not sure may ask again.

    Raises:
        ScheduleError: There is none of this name.
    """
    store = schedules_of(broker)
    run_id = run_id or fire_id(os.urandom(16).hex(), 0)

    def change() -> str | None:
        old = _known(store, name)
        now_ms = store.now_ms()
        message = old.entry.message(old.uid, now_ms, run_id)
        done = store.trigger(
            name, generation=old.generation, nominal_ms=now_ms, message=message
        )  # fmt: skip
        return run_id if done else None

    return _retried(change, name)


def upcoming(schedule: Schedule, count: int, after_ms: int) -> list[int]:
    """Return the next nominal times, milliseconds, fewer where there are no more."""
    base, found = schedule.base, list[int]()
    nominal = due.next_nominal(schedule.entry, base, max(after_ms, base.last_ms, base.since_ms))
    while nominal is not None and len(found) < count:
        found.append(nominal)
        nominal = due.next_nominal(schedule.entry, base, nominal)
    return found


def _create(
    store: Schedules, entry: Entry, base: due.Base, old: Schedule | None, is_paused: bool
) -> int:
    fields = {"entry": entry.encode(), "uid": base.uid.encode(), "since": b"%d" % base.since_ms}
    if is_paused:
        fields["paused"] = b"1"
    return _write(store, entry, old, None if is_paused else base, fields, fresh=True)


def _change(store: Schedules, entry: Entry, old: Schedule) -> int:
    base, fields = old.base, {"entry": entry.encode()}
    if entry.is_timed_as != old.entry.is_timed_as:
        base = due.Base(old.uid, old.last_ms, store.now_ms())
        fields["since"] = b"%d" % base.since_ms
    return _write(store, entry, old, None if old.is_paused else base, fields)


def _write(
    store: Schedules,
    entry: Entry,
    old: Schedule | None,
    base: due.Base | None,
    fields: dict[str, bytes],
    fresh: bool = False,
) -> int:
    """Write if nobody has meanwhile; without a base it never fires. Returns the generation or 0."""
    nominal = None if base is None else due.next_nominal(entry, base)
    if not fresh and entry.max_runs is not None and old and old.fired >= entry.max_runs:
        nominal = None
    fire_at_ms = None if nominal is None or base is None else due.fires_at(entry, base.uid, nominal)
    return store.set(
        entry.name,
        queue=entry.queue,
        old_queue=entry.queue if old is None else old.entry.queue,
        expected=0 if old is None else old.generation,
        fresh=fresh,
        fire_at_ms=fire_at_ms,
        fields={**fields, "queue": entry.queue.encode()},
    )


def _readable(
    loaded: Iterable[tuple[str, dict[str, bytes]]],
) -> tuple[list[Schedule], dict[str, str]]:
    found, refused = [], {}
    for name, fields in loaded:
        try:
            if fields:
                found.append(read_record(name, fields))
        except DecodeError as error:
            # Its text is all there is to say.
            log.error(events.SCHEDULE_REFUSED, schedule=name, error=str(error))  # noqa: TRY400 - as said
            refused[name] = str(error)
    return found, refused


def _load(store: Schedules, name: str) -> Schedule | None:
    fields = store.load([name])[0]
    return read_record(name, fields) if fields else None


def _known(store: Schedules, name: str) -> Schedule:
    found = _load(store, name)
    if found is None:
        raise _unknown(store, name)
    return found


def _retried(change: Callable[[], T | None], name: str) -> T:
    """Try until nobody has changed it in between; what is compared is its generation."""
    for _ in range(_TRIES):
        done = change()
        if done is not None:
            return done
    text = f"Schedule {name!r} is being changed by others all the time. Try again."
    raise ScheduleError(text)


def _unknown(store: Schedules, name: str) -> ScheduleError:
    known = store.names()
    text = f"There is no schedule {name!r}.{nearest(name, known)} "
    text += f"Expected one of: {', '.join(known[:10])}." if known else "None is declared yet."
    return ScheduleError(text)


def _owned(old: Schedule, owner: str) -> ScheduleError:
    text = (
        f"Schedule {old.entry.name!r} belongs to {old.entry.owner!r} and cannot be changed by "
        f"{owner!r}. Change it where it is declared, or use another name."
    )
    return ScheduleError(text)
