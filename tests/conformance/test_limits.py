"""Limits of tasks, keys and queues: none is exceeded, and nothing else waits for them."""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample, bury, crashed, depth, hand_back
from broker_state import FINAL, LEASE_MS, NOW, done, fetch, ids_of, settle
from builders import make_message
from limit_samples import TASK, end, limit, names, send
from windlass.brokers.base import Again, Park
from windlass.control_plane.limits import list_limits
from windlass.control_plane.queue_record import write_record
from windlass.messages import Headers
from windlass.states import Stage

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
