"""Keys that take turns, scarce slots, limits that change, and what a blocked message is told."""

from __future__ import annotations

from typing import Any

from broker_samples import Sample
from broker_state import NOW, fetch, ids_of
from limit_samples import TASK, end, limit, names, send
from windlass.brokers.base import Fetched
from windlass.control_plane.limits import (
    BlockedBy,
    TaskLimits,
    declare_limits,
    list_limits,
    set_limits,
    unset_limits,
    why_blocked,
)
from windlass.control_plane.queue_record import write_record

# -- turns


def test_keys_take_turns_whatever_waits_of_one(broker: Any) -> None:
    limit(broker, fair_share=True)
    send(broker, *names("a", 20), key="a")
    send(broker, *names("b", 2), key="b")
    send(broker, *names("c", 2), key="c")
    found = [id_ for _ in range(6) for id_ in ids_of(fetch(broker, 2))]

    assert len(found) == 12
    assert {"b0", "c0"} <= set(found[:4])
    assert {"b1", "c1"} <= set(found[:8])
    assert [id_ for id_ in found if id_[0] == "a"] == names("a", 8)


def test_a_key_that_comes_late_waits_for_one_round_at_most(broker: Any) -> None:
    limit(broker, fair_share=True)
    send(broker, *names("a", 50), key="a")
    fetch(broker, 10)
    send(broker, "b0", key="b")
    found = [id_ for _ in range(4) for id_ in ids_of(fetch(broker, 1))]

    assert "b0" in found


def test_turns_keep_to_priorities(broker: Any) -> None:
    limit(broker, fair_share=True)
    send(broker, *names("a", 4), key="a")
    send(broker, *names("b", 4), key="b", priority=9)

    assert ids_of(fetch(broker, 4)) == names("b", 4)


def test_turns_share_a_rate(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, fair_share=True, rate_limit="10/s")
    send(broker, *names("a", 10), key="a")
    send(broker, *names("b", 2), key="b")
    found = []
    for step in range(4):
        brokers.at(NOW + 100 * step)
        found += ids_of(fetch(broker, 5))

    assert len(found) == 4
    assert [id_ for id_ in found if id_[0] == "b"] == ["b0", "b1"]


def test_turns_pass_a_key_that_has_no_slot(broker: Any) -> None:
    limit(broker, fair_share=True, max_concurrency_per_key=1)
    send(broker, *names("a", 3), key="a")
    send(broker, *names("b", 3), key="b")

    one, two = fetch(broker).deliveries
    assert {one.id, two.id} == {"a0", "b0"}
    assert ids_of(fetch(broker)) == []
    end(broker, one)
    (three,) = fetch(broker).deliveries
    assert three.id[0] == one.id[0]
    end(broker, two, three)
    assert sorted(each[0] for each in ids_of(fetch(broker))) == ["a", "b"]


def test_work_without_turns_is_not_starved_by_those_who_take_them(broker: Any) -> None:
    limit(broker, fair_share=True)
    send(broker, *names("a", 40), key="a")
    send(broker, *names("f", 40), task="shop.other")
    found = [id_ for _ in range(10) for id_ in ids_of(fetch(broker, 4))]

    assert {"a", "f"} == {id_[0] for id_ in found}
    assert abs(sum(id_[0] == "a" for id_ in found) - 20) <= 2


# -- lanes


def test_a_scarce_slot_goes_only_where_a_lane_can_use_it(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, max_concurrency=4)
    send(broker, *names("m", 6))

    assert ids_of(fetch(broker, idle=1)) == ["m0", "m1"]  # half of what is free
    assert ids_of(fetch(broker, idle=0)) == ["m2"]
    busy = fetch(broker, idle=0)
    assert ids_of(busy) == []  # the last one is for somebody who can begin
    assert busy.next_due_ms == NOW + 20
    brokers.at(NOW + 20)
    assert ids_of(fetch(brokers.other, idle=1, worker_id="w2")) == ["m3"]
    assert ids_of(fetch(broker, idle=9)) == []


# -- changes


def test_a_change_of_limits_counts_at_once(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, max_concurrency=1)
    send(broker, *names("m", 8))
    fetch(broker)

    set_limits(broker, TASK, max_concurrency=3)
    assert ids_of(fetch(broker)) == ["m1", "m2"]
    set_limits(broker, TASK, max_concurrency=None, rate_limit="1/s")
    assert ids_of(fetch(broker)) == ["m3"]
    unset_limits(broker, TASK)
    assert ids_of(fetch(broker)) == []
    limit(broker)
    assert ids_of(fetch(broker)) == names("m", 8)[4:]
    assert list_limits(broker) == []


def test_what_was_set_goes_before_what_is_declared(broker: Any) -> None:
    limit(broker, rate_limit="10/s", max_concurrency=5)
    held = set_limits(broker, TASK, rate_limit="1/m")
    limit(broker, rate_limit="20/s", max_concurrency=6)
    (view,) = list_limits(broker)

    assert held == TaskLimits(rate_limit="1/m", max_concurrency=5)
    assert view.limits == TaskLimits(rate_limit="1/m", max_concurrency=6)
    assert view.declared == TaskLimits(rate_limit="20/s", max_concurrency=6)
    assert view.overridden == ("rate_limit",)
    assert unset_limits(broker, TASK, "rate_limit") == view.declared


def test_declaring_the_same_again_changes_nothing(broker: Any) -> None:
    limits = {TASK: TaskLimits(rate_limit="10/s"), "free": TaskLimits()}

    assert declare_limits(broker, limits) == [TASK]
    assert declare_limits(broker, limits) == []


# -- why


def only(found: list[BlockedBy]) -> BlockedBy:
    (one,) = found
    return one


def test_why_names_the_limit_and_when_there_is_room(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="10/s")
    send(broker, *names("m", 3))
    fetch(broker)

    assert why_blocked(broker, "m0") == []
    assert only(why_blocked(broker, "m2")) == BlockedBy(
        gate=TASK, kind="task_rate", limit="10/s", next_at_ms=NOW + 100, ahead=1
    )
    assert why_blocked(broker, "never.sent") == []


def test_why_names_the_key_and_who_uses_it(broker: Any) -> None:
    limit(broker, max_concurrency=2, max_concurrency_per_key=1)
    send(broker, "a1", "a2", key="a")
    send(broker, "b1", key="b")
    fetch(broker)

    assert why_blocked(broker, "a2") == [
        BlockedBy(gate=f"{TASK}[a]", kind="key_concurrency", limit=1, in_use=1),
        BlockedBy(gate=TASK, kind="task_concurrency", limit=2, in_use=2),
    ]


def test_why_speaks_of_turns_and_of_the_queue(broker: Any) -> None:
    limit(broker, fair_share=True)
    send(broker, *names("a", 3), key="a")
    fetch(broker, 1)
    assert only(why_blocked(broker, "a2")) == BlockedBy(gate=f"a\t{TASK}", kind="turn", ahead=1)

    write_record(broker, "q", paused=True, max_concurrency=1)
    kinds = [each.kind for each in why_blocked(broker, "a1")]
    assert kinds == ["turn", "paused", "queue_concurrency"]


def test_waiting_wakes_when_there_is_a_token(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="10/s")
    send(broker, "a", "b")

    seen: list[Fetched] = [fetch(broker), fetch(broker)]
    assert [each.next_due_ms for each in seen] == [NOW + 100, NOW + 100]
