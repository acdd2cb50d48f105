"""Limits of tasks and queues, on every broker: none is exceeded, nothing else waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample, bury, crashed, depth, hand_back
from broker_state import FINAL, LEASE_MS, NOW, done, fetch, ids_of, settle
from builders import make_message
from windlass.brokers.base import Again, Delivery, Fetched, Park
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
from windlass.messages import Headers
from windlass.states import Stage

TASK = "shop.mail"


def limit(broker: Any, **limits: Any) -> None:
    """Declare the limits of the one limited task here."""
    declare_limits(broker, {TASK: TaskLimits(**limits)})


def send(broker: Any, *ids: str, task: str = TASK, key: str = "", **options: Any) -> None:
    """Send messages of the limited task; their key is said by the sender."""
    options.setdefault("queue", "q")
    headers = Headers(key=key or None)
    broker.enqueue([make_message(task, id=id_, headers=headers, **options) for id_ in ids])


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def end(broker: Any, *deliveries: Delivery) -> None:
    assert settle(broker, *(done(each) for each in deliveries)) == []


# -- of a queue


def test_a_queue_hands_out_no_more_than_its_rate(brokers: Sample) -> None:
    broker = brokers.broker
    write_record(broker, "q", rate_limit="10/s")
    send(broker, *names("m", 5))

    first = fetch(broker)
    assert ids_of(first) == ["m0"]
    assert first.next_due_ms == NOW + 100
    assert ids_of(fetch(broker)) == []
    brokers.at(NOW + 99)
    assert ids_of(fetch(broker)) == []
    brokers.at(NOW + 100)
    assert ids_of(fetch(broker)) == ["m1"]
    brokers.at(NOW + 10_000)  # what was not used is not saved up
    assert ids_of(fetch(broker)) == ["m2"]
    assert depth(broker).open == 2


def test_a_fast_rate_comes_in_bursts_of_a_tenth_of_a_second(brokers: Sample) -> None:
    broker = brokers.broker
    write_record(broker, "q", rate_limit="1000/s")
    send(broker, *names("m", 500))
    counts = []
    for ms in range(0, 200, 20):
        brokers.at(NOW + ms)
        counts.append(len(fetch(broker, 500).deliveries))

    assert counts == [100] + [20] * 9


def test_a_queue_has_no_more_leased_than_its_max_concurrency(broker: Any) -> None:
    write_record(broker, "q", max_concurrency=2)
    send(broker, *names("m", 4))

    one, two = fetch(broker).deliveries
    assert ids_of(fetch(broker)) == []
    end(broker, one)
    assert ids_of(fetch(broker)) == ["m2"]
    settle(broker, hand_back(two))
    assert ids_of(fetch(broker)) == ["m1"]


def test_a_limited_queue_does_not_hold_up_another_one(broker: Any) -> None:
    write_record(broker, "q", max_concurrency=1)
    send(broker, *names("m", 5))
    send(broker, *names("o", 3), queue="other")

    assert sorted(ids_of(fetch(broker, 10, ("q", "other")))) == ["m0", "o0", "o1", "o2"]


# -- of a task


def test_a_task_is_handed_out_at_its_rate_and_others_pass_it(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="10/s")
    send(broker, *names("m", 4))
    send(broker, "free", task="shop.other")

    first = fetch(broker)
    assert ids_of(first) == ["m0", "free"]
    assert first.next_due_ms == NOW + 100
    assert depth(broker).blocked == 3
    assert depth(broker).open == 0
    assert broker.stage("m1") is Stage.BLOCKED
    brokers.at(NOW + 100)
    send(broker, "late")
    assert ids_of(fetch(broker)) == ["m1"]
    for ms, expected in ((150, []), (200, ["m2"]), (300, ["m3"]), (400, ["late"])):
        brokers.at(NOW + ms)
        assert ids_of(fetch(broker)) == expected
    assert depth(broker).blocked == 0


def test_a_rate_holds_across_queues_and_workers(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="1/s")
    send(broker, "a")
    send(broker, "b", queue="other")

    assert ids_of(fetch(broker)) == ["a"]
    assert ids_of(fetch(brokers.other, queues=("other",), worker_id="w2")) == []
    brokers.at(NOW + 1000)
    assert ids_of(fetch(brokers.other, queues=("other",), worker_id="w2")) == ["b"]


def test_a_task_runs_no_more_at_once_than_its_max_concurrency(brokers: Sample) -> None:
    broker, other = brokers.broker, brokers.other
    limit(broker, max_concurrency=2)
    send(broker, *names("m", 3))
    send(broker, *names("n", 2), queue="other")

    one, two = fetch(broker).deliveries
    assert ids_of(fetch(other, queues=("other",))) == []
    assert [depth(broker).blocked, depth(broker, "other").blocked] == [1, 2]
    end(broker, one)
    assert ids_of(fetch(other, queues=("other",))) == ["n0"]
    end(broker, two)
    assert ids_of(fetch(broker)) == ["m2"]
    assert ids_of(fetch(other, queues=("other",))) == []


def waits_again(broker: Any, delivery: Delivery) -> None:
    message = make_message(TASK, id=delivery.id, queue="q", delay_ms=60_000)
    settle(broker, Again(id=delivery.id, queue="q", token=delivery.token, message=message))


@pytest.mark.parametrize(
    "end_of",
    [
        lambda each: done(each, result=FINAL),
        lambda each: done(each, followups=(make_message(queue="elsewhere"),)),
        bury,
        crashed,
        hand_back,
        lambda each: Again(
            id=each.id, queue="q", token=each.token,
            message=make_message(TASK, id=each.id, queue="q", delay_ms=60_000),
        ),
        lambda each: Park(id=each.id, queue="q", token=each.token, task=TASK),
    ],
    ids=["done", "followed", "bury", "crashed", "back", "again", "park"],
)  # fmt: skip
def test_every_end_of_a_lease_gives_up_its_slot_once(broker: Any, end_of: Any) -> None:
    limit(broker, max_concurrency=1)
    send(broker, "first")
    (one,) = fetch(broker).deliveries
    send(broker, "second", priority=9)
    assert ids_of(fetch(broker)) == []

    settle(broker, end_of(one))
    settle(broker, end_of(one))  # told again, since the reply was lost

    assert ids_of(fetch(broker)) == ["second"]
    send(broker, "third")
    assert ids_of(fetch(broker)) == []
    assert [view.running for view in list_limits(broker)] == [1]


def test_the_slot_of_a_lost_worker_is_free_when_its_lease_has_run_out(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, max_concurrency=1)
    send(broker, "first", "second")
    (lost,) = fetch(broker).deliveries
    brokers.at(NOW + LEASE_MS + 1)
    broker.reap("q", "w2")

    assert len(fetch(broker).deliveries) == 1
    settle(broker, done(lost))  # it was only paused: its token is stale
    assert ids_of(fetch(broker)) == []
    assert [view.running for view in list_limits(broker)] == [1]


def test_a_message_that_is_revoked_while_it_is_blocked_is_gone(broker: Any) -> None:
    limit(broker, max_concurrency=1)
    send(broker, "first", "second", "third")
    (one,) = fetch(broker).deliveries

    assert broker.revoke(["second"], result_for=lambda _: FINAL) == {"second": Stage.BLOCKED}
    assert depth(broker).blocked == 1
    assert broker.stage("second") is Stage.DONE
    end(broker, one)
    assert ids_of(fetch(broker)) == ["third"]


def test_purging_a_queue_deletes_what_is_blocked_too(broker: Any) -> None:
    limit(broker, max_concurrency=1)
    send(broker, *names("m", 4))
    (one,) = fetch(broker).deliveries

    assert broker.purge("q") == 3
    assert depth(broker).blocked == 0
    end(broker, one)
    send(broker, "next")
    assert ids_of(fetch(broker)) == ["next"]


def test_what_has_expired_while_it_was_blocked_takes_no_token(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="1/s")
    send(broker, "first")
    send(broker, "short", "shorter", ttl_ms=500)
    send(broker, "last")
    fetch(broker)
    brokers.at(NOW + 1000)

    found = ids_of(fetch(broker)) + ids_of(fetch(broker)) + ids_of(fetch(broker))
    assert found == ["short", "shorter", "last"]


def test_higher_priorities_go_first_through_a_gate(broker: Any) -> None:
    limit(broker, max_concurrency=1)
    send(broker, "running")
    (one,) = fetch(broker).deliveries
    send(broker, "low")
    fetch(broker)
    send(broker, "high", priority=9)
    fetch(broker)

    end(broker, one)
    (two,) = fetch(broker).deliveries
    assert two.id == "high"


def test_ten_thousand_blocked_ones_do_not_hold_up_the_one_behind_them(broker: Any) -> None:
    limit(broker, rate_limit="1/h")
    send(broker, *names("m", 10_000))
    send(broker, "free", task="shop.other")
    found: list[str] = []
    for _ in range(20):
        found += ids_of(fetch(broker, 10))

    assert found == ["m0", "free"]


# -- of a key


def test_a_message_whose_key_is_not_known_passes_to_be_given_it(broker: Any) -> None:
    limit(broker, max_concurrency=1, max_concurrency_per_key=1, has_key=True)
    send(broker, *names("m", 3))
    headers = Headers(key="")  # known to have none
    broker.enqueue([make_message(TASK, id=id_, queue="q", headers=headers) for id_ in "xy"])

    assert ids_of(fetch(broker)) == ["m0", "m1", "m2", "x"]
    assert depth(broker).blocked == 1


def test_a_key_runs_no_more_at_once_than_its_share(broker: Any) -> None:
    limit(broker, max_concurrency_per_key=1)
    send(broker, "a1", "a2", key="a")
    send(broker, "b1", key="b")
    send(broker, "c1", "c2")  # of no key: not counted

    found = fetch(broker).deliveries
    assert [each.id for each in found] == ["a1", "b1", "c1", "c2"]
    assert ids_of(fetch(broker)) == []
    end(broker, found[1])
    assert ids_of(fetch(broker)) == []
    end(broker, found[0])
    assert ids_of(fetch(broker)) == ["a2"]


def test_a_message_passes_all_gates_or_takes_none(brokers: Sample) -> None:
    broker = brokers.broker
    limit(broker, rate_limit="10/s", max_concurrency=2, max_concurrency_per_key=1)
    send(broker, "a1", "a2", key="a")
    send(broker, "b1", key="b")

    (a1,) = fetch(broker).deliveries
    brokers.at(NOW + 100)
    assert ids_of(fetch(broker)) == ["b1"]  # a2 has taken no token
    brokers.at(NOW + 200)
    assert ids_of(fetch(broker)) == []
    end(broker, a1)
    assert ids_of(fetch(broker)) == ["a2"]


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
