"""A BeatSchedule as observed -> what to do: its entry on the broker, its status. Pure.

    spec -> entry on the broker -> tickers fire it (`windlass_operator.tickers`)
    what the broker keeps of it -> status, events

Deletion removes the entry, and is bounded as a TaskQueue's: a broker that is down holds nobody.
Next in the walk: `windlass_operator.schedule_status`, then `apply`.
"""

from __future__ import annotations

from windlass_operator.desired import names
from windlass_operator.models.beatschedule import TRIGGER
from windlass_operator.models.resource import Identity
from windlass_operator.plan import (
    Action,
    EmitEvent,
    OnSchedule,
    PauseSchedule,
    Plan,
    PutSchedule,
    RemoveSchedule,
    SetFinalizer,
    SetStatus,
    TriggerSchedule,
)
from windlass_operator.reasons import EventReason
from windlass_operator.reduce_queue import CLEANUP_S
from windlass_operator.schedule_entry import trigger_id, wanted_entry
from windlass_operator.schedule_observed import ScheduleObserved
from windlass_operator.schedule_status import desired_schedule_status


def reduce_schedule(observed: ScheduleObserved, now_s: float) -> Plan:
    """Decide everything about one BeatSchedule that is not being deleted.

    Raises:
        InvalidSpecError: The engine refuses the spec.
    """
    actions: list[Action] = []
    if names.FINALIZER not in observed.schedule.identity.finalizers:
        actions.append(SetFinalizer(present=True))
    if observed.is_known and not observed.is_taken and not observed.refusal:
        actions += _entry(observed)
    is_passing = any(isinstance(action, OnSchedule) for action in actions)
    actions += _news(observed)
    status = desired_schedule_status(observed, now_s)
    actions.append(SetStatus(status=status, is_passing=is_passing))
    return Plan(actions=tuple(actions))


def _entry(observed: ScheduleObserved) -> list[Action]:
    schedule, record, queue = observed.schedule, observed.record, observed.view.queue
    suspend = schedule.spec.suspend
    if queue is None:  # known, so it was declared before: nothing is sent where nobody works
        paused = record is None or record.is_paused
        return [] if paused else [PauseSchedule(name=schedule.identity.name, is_paused=True)]
    entry = wanted_entry(schedule, queue.queue_name)
    actions: list[Action] = []
    if record is None or record.entry != entry or record.uid != schedule.identity.uid:
        actions.append(PutSchedule(entry=entry, uid=schedule.identity.uid, is_paused=suspend))
    if record is not None and record.is_paused != suspend:
        actions.append(PauseSchedule(name=entry.name, is_paused=suspend))
    if is_triggered(observed):
        run_id = trigger_id(schedule.identity.uid, schedule.trigger)
        actions += [
            TriggerSchedule(name=entry.name, run_id=run_id),
            EmitEvent(
                reason=EventReason.SCHEDULE_TRIGGERED,
                message=f"Fired by hand ({TRIGGER}: {schedule.trigger!r}): task {run_id}.",
            ),
        ]
    return actions


def is_triggered(observed: ScheduleObserved) -> bool:
    """Whether the annotation has a value that it was not fired for."""
    schedule, record = observed.schedule, observed.record
    if not schedule.trigger or schedule.status.get("lastTrigger") == schedule.trigger:
        return False
    run_id = trigger_id(schedule.identity.uid, schedule.trigger)
    return record is None or record.triggered_id != run_id


def _news(observed: ScheduleObserved) -> list[Action]:
    """What the broker's counts tell that the status has not said yet."""
    record, before = observed.record, observed.schedule.status
    if record is None or not observed.is_ours or not before:
        return []
    actions: list[Action] = []
    missed = record.missed - before.get("missed", 0)
    if missed > 0:
        message = f"{missed} time(s) were missed: nobody could fire in time."
        actions.append(EmitEvent(reason=EventReason.TIMES_MISSED, message=message, is_warning=True))
    if record.failures > before.get("consecutiveFailures", 0):
        run = record.run
        message = f"A run of {record.entry.task} failed{f' (task {run.id})' if run else ''}."
        actions.append(EmitEvent(reason=EventReason.RUN_FAILED, message=message, is_warning=True))
    return actions


def reduce_deleted(identity: Identity, detail: str, *, is_known: bool, now_s: float) -> Plan:
    """Decide about one that is being deleted, whatever its spec is.

    Args:
        identity: The object.
        detail: Why its broker cannot be used; '' if it can, or if nobody knows which it is.
        is_known: Whether it can.
        now_s: The instant.
    """
    if names.FINALIZER not in identity.finalizers:
        return Plan()
    let_go = SetFinalizer(present=False)
    is_over = now_s - (identity.deleted_s or now_s) >= CLEANUP_S
    if is_known and not is_over:
        remove = RemoveSchedule(name=identity.name, owner=f"kubernetes:{identity.uid}")
        return Plan(actions=(remove, let_go))
    if not is_over:
        return Plan()
    why = detail or ("the broker refused" if is_known else "its broker is unknown")
    event = EmitEvent(
        reason=EventReason.CLEANUP_ABANDONED,
        message=f"The schedule was not taken off its broker within {CLEANUP_S:g} s ({why}). The "
        f"operator goes on trying; else `windlass schedules remove {identity.name}` does it.",
        is_warning=True,
    )
    return Plan(actions=(event, let_go))
