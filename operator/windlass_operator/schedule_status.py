"""The status of a BeatSchedule: what the broker keeps of it, in the words of a CronJob. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass.beat.record import Schedule
from windlass_operator.conditions import Condition, merged, timestamp
from windlass_operator.models.beatschedule import BeatScheduleSpec, duration_words, line_of
from windlass_operator.reasons import ConditionReason, ConditionType
from windlass_operator.schedule_entry import trigger_id
from windlass_operator.schedule_observed import ScheduleObserved

#: What stays as it was while the broker cannot be asked.
_KEPT = (
    "active", "lastScheduleTime", "nextScheduleTime", "lastSuccessfulTime", "fired", "missed",
    "skipped", "triggered", "lastTrigger", "consecutiveFailures", "lastRun",
)  # fmt: skip


def desired_schedule_status(observed: ScheduleObserved, now_s: float) -> dict[str, Any]:
    """Build the status."""
    schedule, record = observed.schedule, observed.record
    before, generation = schedule.status, schedule.identity.generation
    queue = observed.view.queue
    result: dict[str, Any] = {
        "observedGeneration": generation,
        "schedule": schedule.spec.words,
        "queueName": queue.queue_name if queue else before.get("queueName"),
    }
    if observed.is_ours and record is not None:
        result |= _numbers(observed, record)
    elif not observed.is_known or observed.refusal:
        result |= {key: before[key] for key in _KEPT if key in before}
    result["conditions"] = merged(
        before.get("conditions", ()), schedule_conditions(observed), generation, now_s
    )
    return {key: value for key, value in result.items() if value is not None}


def _numbers(observed: ScheduleObserved, record: Schedule) -> dict[str, Any]:
    schedule = observed.schedule
    run_id = trigger_id(schedule.identity.uid, schedule.trigger)
    is_done = bool(schedule.trigger) and record.triggered_id == run_id
    return {
        "active": len(record.active),
        "lastScheduleTime": _time(record.last_fired_ms),
        "nextScheduleTime": None if schedule.spec.suspend else _time(record.next_ms),
        "lastSuccessfulTime": _time(record.succeeded_ms),
        "fired": record.fired,
        "missed": record.missed,
        "skipped": record.overlaps,
        "triggered": record.triggered,
        "lastTrigger": schedule.trigger if is_done else schedule.status.get("lastTrigger"),
        "consecutiveFailures": record.failures,
        "lastRun": _last_run(record),
    }


def _last_run(record: Schedule) -> dict[str, Any] | None:
    if record.run is None:
        return None
    told = {
        "id": record.run.id,
        "scheduledTime": _time(record.run.nominal_ms),
        "endTime": _time(record.ended_ms),
        "state": record.state or "UNKNOWN",
        "duration": duration_words(record.took_ms / 1000) if record.state else None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _time(at_ms: int | None) -> str | None:
    return timestamp(at_ms / 1000) if at_ms else None


# -- conditions ----------------------------------------------------------------------------------


def schedule_conditions(observed: ScheduleObserved) -> list[Condition]:
    """Build the conditions, Ready first."""
    conditions = [_ready(observed), _suspended(observed), _degraded(observed)]
    if (warning := _both_days(observed.schedule.spec)) is not None:
        conditions.append(warning)
    return conditions


def _ready(observed: ScheduleObserved) -> Condition:
    ready, view, record = ConditionType.READY, observed.view, observed.record
    if view.queue is None:
        return Condition(
            type=ready,
            status=False,
            reason=ConditionReason.QUEUE_NOT_DECLARED,
            message=f"There is no TaskQueue {view.ref!r} in this namespace, so nothing is sent. "
            "Apply one of this name, or name another in spec.queueRef.",
        )
    if observed.is_taken and record is not None:
        return Condition(
            type=ready,
            status=False,
            reason=ConditionReason.SCHEDULE_NAME_CONFLICT,
            message=f"The broker has a schedule of this name already; it belongs to "
            f"{record.entry.owner!r}. Give this object another name, or remove the other one: "
            f"`windlass schedules remove {record.entry.name}`.",
        )
    return _reachable(observed) or _readable(observed) or _fires(record)


def _reachable(observed: ScheduleObserved) -> Condition | None:
    broker = observed.view.broker
    if broker is not None and broker.error is not None:
        return Condition(
            type=ConditionType.READY, status=False, reason=broker.error, message=broker.detail
        )
    if broker is None or not observed.is_known:
        return Condition(
            type=ConditionType.READY,
            status=None,
            reason=ConditionReason.BROKER_UNKNOWN,
            message="The broker is not read yet.",
        )
    return None


def _readable(observed: ScheduleObserved) -> Condition | None:
    if not observed.refusal:
        return None
    return Condition(
        type=ConditionType.READY,
        status=False,
        reason=ConditionReason.SCHEDULE_UNREADABLE,
        message=observed.refusal,
    )


def _fires(record: Schedule | None) -> Condition:
    if record is not None and not record.is_paused and record.next_ms is None:
        return Condition(
            type=ConditionType.READY,
            status=True,
            reason=ConditionReason.SCHEDULE_OVER,
            message=f"It was fired {record.fired} time(s), and no further time is to come "
            "(spec.maxRuns, spec.endAt).",
        )
    return Condition(type=ConditionType.READY, status=True, reason=ConditionReason.AS_EXPECTED)


def _suspended(observed: ScheduleObserved) -> Condition:
    is_suspended = observed.schedule.spec.suspend
    return Condition(
        type=ConditionType.SUSPENDED,
        status=is_suspended,
        reason=ConditionReason.SUSPENDED_BY_USER if is_suspended else ConditionReason.AS_EXPECTED,
        message="spec.suspend: it does not fire, but by hand." if is_suspended else "",
    )


def _degraded(observed: ScheduleObserved) -> Condition:
    record = observed.record if observed.is_ours else None
    if record is None or not record.failures:
        if (not observed.is_known or observed.refusal) and observed.schedule.status:
            return _as_before(observed.schedule.status)
        return Condition(
            type=ConditionType.DEGRADED, status=False, reason=ConditionReason.AS_EXPECTED
        )
    return Condition(
        type=ConditionType.DEGRADED,
        status=True,
        reason=ConditionReason.RUNS_FAIL,
        message=f"Run(s) of {record.entry.task} have failed since one succeeded: see "
        "status.consecutiveFailures, and the workers' logs.",
    )


def _as_before(status: Mapping[str, Any]) -> Condition:
    stored = status.get("conditions", ())
    known: Mapping[str, Any] = next(
        (c for c in stored if c.get("type") == ConditionType.DEGRADED), {}
    )
    return Condition(
        type=ConditionType.DEGRADED,
        status=known.get("status") == "True",
        reason=known.get("reason", ConditionReason.AS_EXPECTED),
        message=known.get("message", ""),
    )


def _both_days(spec: BeatScheduleSpec) -> Condition | None:
    """Cron is content with one of the day fields; we are not."""
    if spec.schedule is None:
        return None
    _, _, day_of_month, _, day_of_week = line_of(spec.schedule).split()
    if day_of_month.startswith("*") or day_of_week.startswith("*"):
        return None
    return Condition(
        type=ConditionType.WARNING,
        status=True,
        reason=ConditionReason.BOTH_DAYS_MUST_MATCH,
        message="The crontab line restricts the day of the month and the day of the week. Here a "
        "day has to match both; cron, and so a CronJob, is content with one of them.",
    )
