"""BeatSchedules: what is put on the broker, when, and what the status says."""

from __future__ import annotations

from typing import Any

import pytest

from operator_builders import NOW_S, make_broker, make_view, schedule_body
from windlass.beat.entry import CatchUp, Entry, Overlap
from windlass.beat.record import Schedule
from windlass.beat.runs import Run
from windlass.beat.timing import Cron, Every
from windlass_operator.desired.names import FINALIZER
from windlass_operator.models.beatschedule import TRIGGER, BeatSchedule, duration_words
from windlass_operator.models.resource import Identity, InvalidSpecError
from windlass_operator.observed import BrokerError, QueueView
from windlass_operator.plan import (
    EmitEvent,
    PauseSchedule,
    Plan,
    PutSchedule,
    RemoveSchedule,
    SetFinalizer,
    SetStatus,
    TriggerSchedule,
)
from windlass_operator.quiet import seen_of_schedule
from windlass_operator.reduce_schedule import reduce_deleted, reduce_schedule
from windlass_operator.schedule_entry import trigger_id, wanted_entry
from windlass_operator.schedule_observed import ScheduleObserved

NOW_MS = round(NOW_S * 1000)


def make_schedule(
    *, trigger: str = "", status: dict[str, Any] | None = None, finalizer: bool = True, **spec: Any
) -> BeatSchedule:
    body = schedule_body(**spec)
    body["metadata"] |= {"annotations": {TRIGGER: trigger} if trigger else {}}
    body["metadata"] |= {"finalizers": [FINALIZER] if finalizer else []}
    return BeatSchedule.from_object({**body, "status": status or {}})


def record_of(schedule: BeatSchedule, **fields: Any) -> Schedule:
    """The broker's record of a schedule as it should be."""
    given = {"uid": schedule.identity.uid, "generation": 1, "since_ms": NOW_MS, **fields}
    given.setdefault("entry", wanted_entry(schedule, "emails"))
    return Schedule(**given)


def observed(schedule: BeatSchedule, **fields: Any) -> ScheduleObserved:
    given = {"view": make_view(), "is_known": True, **fields}
    return ScheduleObserved(schedule=schedule, **given)


def on_broker(plan: Plan) -> list[Any]:
    kinds = PutSchedule | PauseSchedule | TriggerSchedule | RemoveSchedule
    return [action for action in plan.actions if isinstance(action, kinds)]


def status_of(plan: Plan) -> dict[str, Any]:
    return dict(next(a.status for a in plan.actions if isinstance(a, SetStatus)))


def said(plan: Plan, kind: str = "Ready") -> tuple[str, str, str]:
    found = next(c for c in status_of(plan)["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_entry_that_cannot_be_read_is_left_alone_and_said() -> None:
    schedule = make_schedule(status={"fired": 3})
    told = "Schedule 'nightly' cannot be read by this version: ... Upgrade, or remove it."

    plan = reduce_schedule(observed(schedule, refusal=told), NOW_S)

    assert on_broker(plan) == []
    assert said(plan) == ("False", "ScheduleUnreadable", told)
    assert status_of(plan)["fired"] == 3
    seen = (seen_of_schedule(observed(schedule, refusal=text)) for text in ("", told))
    assert len(set(map(repr, seen))) == 2


# -- the entry -----------------------------------------------------------------------------------


def test_an_entry_says_what_the_spec_says() -> None:
    schedule = make_schedule(
        schedule="0   3 * * mon-fri", timeZone="Europe/Paris", task="shop.report", args=[1],
        kwargs={"full": True}, priority=7, expires="10m", jitter="30s", catchUp="All",
        concurrencyPolicy="Replace", startingDeadlineSeconds=60, maxRuns=5,
        startAt="2027-01-01T00:00:00Z", endAt="2028-01-01T00:00:00Z",
    )  # fmt: skip

    entry = wanted_entry(schedule, "emails")

    assert Entry.decode("nightly", entry.encode()) == entry  # or it would be put with every tick
    assert entry.name == "nightly"
    assert entry.timing == Cron("0 3 * * mon-fri", "Europe/Paris")
    assert (entry.task, entry.queue, entry.body) == (
        "shop.report", "emails", b'[[1],{"full":true},{}]',
    )  # fmt: skip
    assert entry.owner == "kubernetes:uid-nightly"
    assert (entry.priority, entry.ttl_ms, entry.jitter_s) == (7, 600_000, 30.0)
    assert (entry.catch_up, entry.overlap) == (CatchUp.ALL, Overlap.REPLACE)
    assert (entry.starting_deadline_s, entry.max_runs) == (60, 5)
    assert (entry.start_ms, entry.end_ms) == (1_798_761_600_000, 1_830_297_600_000)


@pytest.mark.parametrize(
    ("spec", "timing", "words"),
    [
        ({"every": "90s"}, Every(90_000), "every 1m30s"),
        ({"every": "7d"}, Every(604_800_000), "every 7d"),
        ({"schedule": "@daily"}, Cron("0 0 * * *"), "@daily"),
        ({"schedule": "*/5 * * * *"}, Cron("*/5 * * * *"), "*/5 * * * *"),
    ],
)
def test_when_it_is_due(spec: dict[str, Any], timing: object, words: str) -> None:
    schedule = make_schedule(**spec)

    assert schedule.spec.timing == timing
    assert schedule.spec.words == words


def test_durations_are_said_shortly() -> None:
    words = [duration_words(s) for s in (0.25, 3.2, 59.94, 60, 90, 3600, 90_061)]

    assert words == ["250ms", "3.2s", "59.9s", "1m", "1m30s", "1h", "1d1h1m1s"]


# -- what is done --------------------------------------------------------------------------------


def test_a_new_schedule_is_marked_first_and_then_put() -> None:
    schedule = make_schedule(finalizer=False)
    plan = reduce_schedule(observed(schedule), NOW_S)

    assert plan.actions[:2] == (
        SetFinalizer(present=True),
        PutSchedule(entry=wanted_entry(schedule, "emails"), uid="uid-nightly"),
    )
    assert plan.actions[-1].is_passing  # type: ignore[union-attr]


def test_one_that_is_as_wanted_is_left_alone() -> None:
    schedule = make_schedule()
    plan = reduce_schedule(observed(schedule, record=record_of(schedule)), NOW_S)

    assert [type(action) for action in plan.actions] == [SetStatus]


def test_a_changed_spec_is_put() -> None:
    schedule, before = make_schedule(args=[2]), make_schedule(args=[1])
    plan = reduce_schedule(observed(schedule, record=record_of(before)), NOW_S)

    assert on_broker(plan) == [
        PutSchedule(entry=wanted_entry(schedule, "emails"), uid="uid-nightly")
    ]


@pytest.mark.parametrize(("suspend", "is_paused"), [(True, False), (False, True)])
def test_suspend_decides_whatever_was_paused_elsewhere(suspend: bool, is_paused: bool) -> None:
    schedule = make_schedule(suspend=suspend)
    plan = reduce_schedule(observed(schedule, record=record_of(schedule, is_paused=is_paused)), 0)

    assert on_broker(plan) == [PauseSchedule(name="nightly", is_paused=suspend)]


def test_a_suspended_schedule_begins_paused() -> None:
    [put] = on_broker(reduce_schedule(observed(make_schedule(suspend=True)), NOW_S))

    assert put.is_paused


def test_a_new_value_of_the_annotation_fires_and_says_so() -> None:
    schedule = make_schedule(trigger="b", status={"lastTrigger": "a"})
    plan = reduce_schedule(observed(schedule, record=record_of(schedule)), NOW_S)

    run_id = trigger_id("uid-nightly", "b")
    assert on_broker(plan) == [TriggerSchedule(name="nightly", run_id=run_id)]
    [event] = [action for action in plan.actions if isinstance(action, EmitEvent)]
    assert (event.reason, run_id in event.message) == ("ScheduleTriggered", True)


@pytest.mark.parametrize(
    ("status", "triggered_id"), [({}, trigger_id("uid-nightly", "a")), ({"lastTrigger": "a"}, "")]
)
def test_a_value_that_it_was_fired_for_fires_no_more(
    status: dict[str, Any], triggered_id: str
) -> None:
    """The broker knows it, and the status when the broker has lost its data."""
    schedule = make_schedule(trigger="a", status=status)
    record = record_of(schedule, triggered_id=triggered_id)
    plan = reduce_schedule(observed(schedule, record=record), NOW_S)

    assert on_broker(plan) == []
    assert status_of(plan)["lastTrigger"] == "a"


def test_another_owners_schedule_is_not_touched() -> None:
    schedule = make_schedule()
    entry = wanted_entry(schedule, "emails")
    theirs = type(entry)(
        name="nightly", timing=entry.timing, task="x", queue="q", body=b"", owner="settings:shop"
    )
    plan = reduce_schedule(observed(schedule, record=record_of(schedule, entry=theirs)), NOW_S)

    assert on_broker(plan) == []
    status, reason, message = said(plan)
    assert (status, reason) == ("False", "ScheduleNameConflict")
    assert "'settings:shop'" in message
    assert "windlass schedules remove nightly" in message


def test_without_its_queue_it_is_paused_once() -> None:
    schedule, view = make_schedule(), QueueView(ref="emails", queue=None)
    fires = reduce_schedule(observed(schedule, view=view, record=record_of(schedule)), NOW_S)
    paused = record_of(schedule, is_paused=True)
    rests = reduce_schedule(observed(schedule, view=view, record=paused), NOW_S)

    assert on_broker(fires) == [PauseSchedule(name="nightly", is_paused=True)]
    assert on_broker(rests) == []
    assert said(rests)[:2] == ("False", "QueueNotDeclared")


# -- the status ----------------------------------------------------------------------------------


def test_status_tells_what_the_broker_keeps() -> None:
    schedule = make_schedule(every="60s")
    record = record_of(
        schedule, last_ms=NOW_MS, last_fired_ms=NOW_MS, fired=3, missed=2, overlaps=1, triggered=4,
        active=(Run(NOW_MS, "r3"),), run=Run(NOW_MS - 60_000, "r2"), state="SUCCESS", took_ms=1500,
        ended_ms=NOW_MS - 58_000, succeeded_ms=NOW_MS - 58_000,
    )  # fmt: skip
    status = status_of(reduce_schedule(observed(schedule, record=record), NOW_S))

    conditions = status.pop("conditions")
    assert status == {
        "observedGeneration": 1,
        "schedule": "every 1m",
        "queueName": "emails",
        "active": 1,
        "lastScheduleTime": "2027-01-15T08:00:00Z",
        "nextScheduleTime": "2027-01-15T08:01:00Z",
        "lastSuccessfulTime": "2027-01-15T07:59:02Z",
        "fired": 3,
        "missed": 2,
        "skipped": 1,
        "triggered": 4,
        "consecutiveFailures": 0,
        "lastRun": {
            "id": "r2",
            "scheduledTime": "2027-01-15T07:59:00Z",
            "endTime": "2027-01-15T07:59:02Z",
            "state": "SUCCESS",
            "duration": "1.5s",
        },
    }
    assert [(c["type"], c["status"]) for c in conditions] == [
        ("Ready", "True"), ("Suspended", "False"), ("Degraded", "False"),
    ]  # fmt: skip


def test_missed_times_and_failed_runs_are_news_once() -> None:
    before = {"missed": 1, "consecutiveFailures": 0}
    schedule = make_schedule(status=before)
    record = record_of(schedule, missed=3, failures=1, run=Run(1, "r"), state="FAILURE")
    plan = reduce_schedule(observed(schedule, record=record), NOW_S)
    told = make_schedule(status={"missed": 3, "consecutiveFailures": 1})
    again = reduce_schedule(observed(told, record=record), NOW_S)

    events = [action for action in plan.actions if isinstance(action, EmitEvent)]
    assert [(e.reason, e.is_warning) for e in events] == [
        ("TimesMissed", True), ("RunFailed", True),
    ]  # fmt: skip
    assert events[0].message.startswith("2 time(s)")
    assert said(plan, "Degraded")[:2] == ("True", "RunsFail")
    assert not any(isinstance(action, EmitEvent) for action in again.actions)


def test_while_the_broker_cannot_be_read_the_numbers_stay() -> None:
    degraded = {"type": "Degraded", "status": "True", "reason": "RunsFail", "message": "m"}
    before = {"fired": 7, "active": 1, "conditions": [degraded]}
    down = make_view(broker=make_broker(error=BrokerError.UNREACHABLE, detail="it is down"))
    schedule = make_schedule(status=before)
    plan = reduce_schedule(observed(schedule, view=down, is_known=False), NOW_S)

    assert on_broker(plan) == []
    assert (status_of(plan)["fired"], status_of(plan)["active"]) == (7, 1)
    assert said(plan) == ("False", "BrokerUnreachable", "it is down")
    assert said(plan, "Degraded")[:2] == ("True", "RunsFail")


def test_one_that_is_over_says_so() -> None:
    schedule = make_schedule(maxRuns=3)
    plan = reduce_schedule(observed(schedule, record=record_of(schedule, fired=3)), NOW_S)

    assert said(plan)[:2] == ("True", "ScheduleOver")
    assert "nextScheduleTime" not in status_of(plan)


@pytest.mark.parametrize(
    ("line", "warns"),
    [("0 0 13 * fri", True), ("0 0 13 * *", False), ("0 0 * * fri", False), ("@weekly", False)],
)
def test_who_means_either_day_is_warned(line: str, warns: bool) -> None:
    schedule = make_schedule(schedule=line)
    plan = reduce_schedule(observed(schedule, record=record_of(schedule)), NOW_S)

    kinds = [c["reason"] for c in status_of(plan)["conditions"] if c["type"] == "Warning"]
    assert kinds == (["BothDaysMustMatch"] if warns else [])


def test_the_same_look_twice_is_left_out_until_anything_changes() -> None:
    schedule = make_schedule()
    looks = [
        observed(schedule, record=record_of(schedule)),
        observed(schedule, record=record_of(schedule, fired=1)),
        observed(schedule, record=record_of(schedule), is_known=False),
        observed(make_schedule(trigger="a"), record=record_of(schedule)),
        observed(schedule, record=record_of(schedule), view=QueueView(ref="emails", queue=None)),
    ]
    again = seen_of_schedule(observed(schedule, record=record_of(schedule)))

    assert [seen_of_schedule(look) == again for look in looks] == [True, *[False] * 4]


# -- the end -------------------------------------------------------------------------------------


def gone(*finalizers: str, at_s: float = NOW_S) -> Identity:
    return Identity(
        kind="BeatSchedule", namespace="shop", name="nightly", uid="u", deleted_s=at_s,
        finalizers=finalizers,
    )  # fmt: skip


def test_the_entry_of_a_deleted_schedule_is_removed_before_it_is_let_go() -> None:
    plan = reduce_deleted(gone(FINALIZER), "", is_known=True, now_s=NOW_S + 1)

    assert plan.actions == (
        RemoveSchedule(name="nightly", owner="kubernetes:u"),
        SetFinalizer(present=False),
    )
    assert reduce_deleted(gone(), "", is_known=True, now_s=NOW_S).actions == ()


@pytest.mark.parametrize(
    ("is_known", "detail", "why"),
    [(False, "it is down", "it is down"), (False, "", "unknown"), (True, "", "refused")],
)
def test_a_broker_that_does_not_clean_up_is_waited_for_no_longer_than_a_minute(
    is_known: bool, detail: str, why: str
) -> None:
    early = reduce_deleted(gone(FINALIZER), detail, is_known=False, now_s=NOW_S + 59)
    late = reduce_deleted(gone(FINALIZER), detail, is_known=is_known, now_s=NOW_S + 60)

    assert early.actions == ()
    event, let_go = late.actions
    assert isinstance(event, EmitEvent)
    assert event.reason == "CleanupAbandoned"
    assert why in event.message
    assert let_go == SetFinalizer(present=False)


# -- specs that cannot be used -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"schedule": "61 * * * *"}, ("spec.schedule", "61 is out of range", "0 to 59")),
        ({"schedule": "0 3 * *"}, ("five fields", "'0 3 * * mon-fri'")),
        ({"schedule": "0 3 * * mun"}, ("day_of_week", "'mun'")),
        ({"timeZone": "Europe/Pariss"}, ("'Europe/Pariss' is not known", "'Europe/Paris'")),
        ({"timeZone": "Local"}, ("IANA name",)),
        ({"every": "5"}, ("spec.every", "'90s'")),
        ({"every": "1s", "timeZone": "UTC"}, ("timeZone means something only with schedule",)),
        ({"every": "1s", "schedule": "@daily"}, ("exactly one of schedule",)),
        ({"startAt": "2027-01-01T00:00:00"}, ("spec.startAt", "timezone")),
        ({"concurrencyPolicy": "Skip"}, ("'Allow', 'Forbid' or 'Replace'",)),
        ({"catchup": "One"}, ("spec.catchup is not a field", "'catchUp'")),
    ],
)
def test_what_cannot_be_used_is_said_with_the_right_form(
    spec: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        BeatSchedule.from_object(schedule_body(**spec))

    assert [word for word in words if word not in str(refused.value)] == [], str(refused.value)
