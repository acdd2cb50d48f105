"""Schedules on every broker: paused, changed, removed, reconciled; how runs ended; depth.

The broker's clock is in the test's hand; a ticker is stepped, not run.
"""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample, depth
from broker_state import NOW
from schedule_builders import (
    MINUTE,
    SECOND,
    ended,
    make_entry,
    make_ticker,
    run_all,
    take,
    tick,
)
from windlass.beat.entry import CatchUp, Overlap, fire_id
from windlass.beat.timing import Cron, Every
from windlass.control_plane import schedules
from windlass.control_plane.schedules import (
    pause_schedule,
    put_schedule,
    read_schedule,
    reconcile_schedules,
    remove_schedule,
    resume_schedule,
    trigger_schedule,
)
from windlass.errors import DecodeError, ScheduleError
from windlass.states import Stage


def started(brokers: Sample, **entry: Any) -> Any:
    """A broker with one schedule, and a ticker of it."""
    put_schedule(brokers.broker, make_entry(**entry))
    return make_ticker(brokers.broker)


def test_a_paused_schedule_fires_nothing_and_makes_up_for_nothing(brokers: Sample) -> None:
    ticker = started(brokers, catch_up=CatchUp.ALL)
    brokers.at(NOW + 9 * SECOND)
    ticker.run_once()
    fires = list(ticker._prepared)
    assert pause_schedule(brokers.broker, "s")
    assert not pause_schedule(brokers.broker, "s")
    brokers.at(NOW + 35 * SECOND)
    assert [answer.what for answer in ticker._store.fire(fires)] == ["CHANGED"]
    assert tick(ticker) == {}

    assert resume_schedule(brokers.broker, "s")
    assert not resume_schedule(brokers.broker, "s")
    assert tick(ticker) == {}
    brokers.at(NOW + 45 * SECOND)
    assert tick(ticker) == {"FIRED": 1}


def test_a_pause_outlives_a_new_declaration(brokers: Sample) -> None:
    ticker = started(brokers)
    pause_schedule(brokers.broker, "s")
    assert put_schedule(brokers.broker, make_entry(args=[2])).what == "changed"
    brokers.at(NOW + MINUTE)

    assert tick(ticker) == {}
    assert read_schedule(brokers.broker, "s").is_paused


def test_by_hand_it_is_fired_beside_its_times_also_while_it_is_paused(brokers: Sample) -> None:
    ticker = started(brokers, overlap=Overlap.FORBID)
    pause_schedule(brokers.broker, "s")
    first, second = (trigger_schedule(brokers.broker, "s") for _ in range(2))
    assert run_all(brokers.broker) == [first, second]

    resume_schedule(brokers.broker, "s")
    brokers.at(NOW + 10 * SECOND)
    assert tick(ticker) == {"FIRED": 1}
    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.triggered, schedule.fired) == (2, 1)


def test_who_is_not_sure_may_fire_the_same_run_by_hand_again(brokers: Sample) -> None:
    started(brokers)
    mine = fire_id("asked", 1)
    assert trigger_schedule(brokers.broker, "s", mine) == mine
    assert run_all(brokers.broker) == [mine]

    assert trigger_schedule(brokers.broker, "s", mine) == mine
    assert run_all(brokers.broker) == []
    assert read_schedule(brokers.broker, "s").triggered == 1
    assert read_schedule(brokers.broker, "s").triggered_id == mine


def test_a_schedule_may_begin_paused(brokers: Sample) -> None:
    put_schedule(brokers.broker, make_entry(), is_paused=True)
    ticker = make_ticker(brokers.broker)
    brokers.at(NOW + MINUTE)
    assert tick(ticker) == {}
    assert read_schedule(brokers.broker, "s").is_paused

    resume_schedule(brokers.broker, "s")
    brokers.at(NOW + MINUTE + 10 * SECOND)
    assert tick(ticker) == {"FIRED": 1}


def test_a_new_timing_counts_from_the_change_and_keeps_the_fence(brokers: Sample) -> None:
    ticker = started(brokers, timing=Cron("*/10 * * * *"))
    brokers.at(NOW + 12 * MINUTE)
    tick(ticker)
    before = read_schedule(brokers.broker, "s")
    brokers.at(NOW + 60 * MINUTE)
    put_schedule(brokers.broker, make_entry(timing=Cron("*/5 * * * *", "Asia/Kolkata")))

    after = read_schedule(brokers.broker, "s")
    assert (after.uid, after.last_ms, after.fired) == (before.uid, before.last_ms, 1)
    assert tick(ticker) == {}
    assert NOW + 60 * MINUTE < (after.next_ms or 0) <= NOW + 65 * MINUTE


def test_any_other_change_leaves_due_times_as_they_are(brokers: Sample) -> None:
    ticker = started(brokers)
    brokers.at(NOW + 15 * SECOND)
    put_schedule(brokers.broker, make_entry(queue="elsewhere", overlap=Overlap.FORBID))

    assert tick(ticker) == {"FIRED": 1}
    assert len(take(brokers.broker, "elsewhere")) == 1
    assert read_schedule(brokers.broker, "s").last_ms == NOW + 10 * SECOND


def test_a_schedule_that_was_removed_and_declared_again_is_a_new_one(brokers: Sample) -> None:
    stale = started(brokers)
    brokers.at(NOW + 9 * SECOND)
    stale.run_once()
    fires = list(stale._prepared)
    uid = read_schedule(brokers.broker, "s").uid
    assert remove_schedule(brokers.broker, "s")
    assert not remove_schedule(brokers.broker, "s")
    brokers.at(NOW + 11 * SECOND)
    assert [answer.what for answer in stale._store.fire(fires)] == ["GONE"]

    put_schedule(brokers.broker, make_entry())
    assert read_schedule(brokers.broker, "s").uid != uid
    assert tick(stale) == {}
    brokers.at(NOW + 21 * SECOND)
    assert tick(stale) == {"FIRED": 1}


def test_another_object_of_the_same_name_is_a_new_schedule(brokers: Sample) -> None:
    put_schedule(brokers.broker, make_entry(), uid="one")
    assert put_schedule(brokers.broker, make_entry(), uid="one").what == "unchanged"
    brokers.at(NOW + 15 * SECOND)
    assert put_schedule(brokers.broker, make_entry(), uid="two").what == "created"

    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.uid, schedule.last_ms, schedule.next_ms) == ("two", 0, NOW + 25 * SECOND)


def test_reconciling_makes_the_owners_schedules_these_and_leaves_others_alone(
    brokers: Sample,
) -> None:
    mine = [make_entry(name, owner="settings:a") for name in ("a", "b")]
    assert reconcile_schedules(brokers.broker, mine, "settings:a").created == ("a", "b")
    put_schedule(brokers.broker, make_entry("run-time"))
    changed = make_entry("b", owner="settings:a", args=[1])
    new = make_entry("c", owner="settings:a")

    done = reconcile_schedules(brokers.broker, [changed, new], "settings:a")

    assert (done.created, done.changed, done.removed) == (("c",), ("b",), ("a",))
    names = [each.entry.name for each in schedules.read_schedules(brokers.broker)]
    assert names == ["b", "c", "run-time"]
    assert reconcile_schedules(brokers.broker, [changed, new], "settings:a").changed == ()


def test_what_another_version_wrote_stops_nobody_else_and_can_be_removed(brokers: Sample) -> None:
    put_schedule(brokers.broker, make_entry("newer"))
    put_schedule(brokers.broker, make_entry("s"))
    store = schedules.schedules_of(brokers.broker)
    store.set(
        "newer", queue="q", old_queue="q", expected=1, fresh=False, fire_at_ms=NOW + 5 * SECOND,
        fields={"entry": b"\x81\xa5shape\x01"},
    )  # fmt: skip
    ticker = make_ticker(brokers.broker)
    brokers.at(NOW + 10 * SECOND)

    assert tick(ticker) == {"FIRED": 1}
    examined = schedules.examine_schedules(brokers.broker)
    assert [each.entry.name for each in examined.found] == ["s"]
    assert examined.refused.keys() == {"newer"}
    assert "Upgrade, or remove it" in examined.refused["newer"]
    assert reconcile_schedules(brokers.broker, [make_entry("t", owner="b")], "b").created == ("t",)
    with pytest.raises(DecodeError, match="'newer' cannot be read by this version"):
        put_schedule(brokers.broker, make_entry("newer"))
    assert remove_schedule(brokers.broker, "newer")


@pytest.mark.parametrize(
    "fields", [{"fired": b"often"}, {"entry": b""}, {"active": b"now"}, {"uid": b"\xff"}],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_record_that_is_no_schedule_is_refused_and_hides_no_other(
    brokers: Sample, fields: dict[str, bytes]
) -> None:
    for name in ("broken", "s"):
        put_schedule(brokers.broker, make_entry(name))
    store = schedules.schedules_of(brokers.broker)
    store.set("broken", queue="q", old_queue="q", expected=1, fresh=False, fire_at_ms=None,
              fields=fields)  # fmt: skip

    examined = schedules.examine_schedules(brokers.broker, ["broken", "s", "none"])

    assert [each.entry.name for each in examined.found] == ["s"]
    assert examined.refused.keys() == {"broken"}
    assert "`windlass schedules remove`" in examined.refused["broken"]
    if "active" not in fields:
        assert remove_schedule(brokers.broker, "broken")


def test_a_name_that_belongs_to_another_owner_is_refused_in_words(brokers: Sample) -> None:
    put_schedule(brokers.broker, make_entry(owner="settings:shop"))

    with pytest.raises(ScheduleError, match=r"'s' belongs to 'settings:shop'.*'api'"):
        put_schedule(brokers.broker, make_entry())
    with pytest.raises(ScheduleError, match="belongs to"):
        reconcile_schedules(
            brokers.broker, [make_entry(owner="b"), make_entry("t", owner="b")], "b"
        )
    assert read_schedule(brokers.broker, "t").entry.owner == "b"
    with pytest.raises(ScheduleError, match=r"There is no schedule 'x'\. Expected one of: s, t"):
        pause_schedule(brokers.broker, "x")


def test_how_runs_ended_is_seen_at_once_and_counted_in_a_row(brokers: Sample) -> None:
    ticker = started(brokers)
    for turn, state in enumerate(("SUCCESS", "FAILURE", "FAILURE"), 1):
        brokers.at(NOW + turn * 10 * SECOND)
        tick(ticker)
        assert len(read_schedule(brokers.broker, "s").active) == 1
        brokers.at(NOW + turn * 10 * SECOND + 7)
        run_all(brokers.broker, state=state, took_ms=7.0)

    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.state, schedule.took_ms, schedule.failures) == ("FAILURE", 7, 2)
    assert schedule.ended_ms == NOW + 30 * SECOND + 7
    assert schedule.succeeded_ms == NOW + 10 * SECOND + 7
    assert schedule.active == ()

    brokers.at(NOW + 40 * SECOND)
    tick(ticker)
    run_all(brokers.broker)
    assert read_schedule(brokers.broker, "s").failures == 0


def test_a_run_that_ended_under_a_stale_lease_counts_as_its_owner_says(brokers: Sample) -> None:
    ticker = started(brokers)
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)
    (first,) = take(brokers.broker)
    brokers.at(NOW + 11 * MINUTE)
    brokers.broker.reap("q", "w")
    (second,) = take(brokers.broker)
    brokers.broker.exchange([ended(first, "FAILURE")], None)
    assert [run.id for run in read_schedule(brokers.broker, "s").active] == [first.id]

    brokers.broker.exchange([ended(second)], None)
    schedule = read_schedule(brokers.broker, "s")
    assert (schedule.state, schedule.failures) == ("SUCCESS", 0)


def test_the_fires_to_come_are_in_the_depth_of_the_queue(brokers: Sample) -> None:
    put_schedule(brokers.broker, make_entry("far", timing=Every(10 * MINUTE)))
    assert (depth(brokers.broker).due_soon, depth(brokers.broker).scheduled) == (0, 0)
    assert depth(brokers.broker).next_due_ms == NOW + 10 * MINUTE

    brokers.at(NOW + 9 * MINUTE)
    assert depth(brokers.broker).due_soon == 1
    assert depth(brokers.broker, "other").due_soon == 0
    pause_schedule(brokers.broker, "far")
    assert depth(brokers.broker).due_soon == depth(brokers.broker).next_due_ms == 0


def test_a_fire_that_nobody_does_keeps_no_worker_waiting_for_it(brokers: Sample) -> None:
    started(brokers)
    brokers.at(NOW + 60 * SECOND)
    assert depth(brokers.broker).due_soon == 1
    brokers.at(NOW + 71 * SECOND)

    assert depth(brokers.broker).due_soon == 0


def test_a_fire_with_a_countdown_is_held_by_the_broker(brokers: Sample) -> None:
    ticker = started(brokers, delay_ms=5 * SECOND)
    brokers.at(NOW + 10 * SECOND)
    tick(ticker)
    (run,) = read_schedule(brokers.broker, "s").active

    assert brokers.broker.stage(run.id) is Stage.SCHEDULED
