"""What every broker does with a message: sending, fetching, settling, leases."""

from __future__ import annotations

from typing import Any

import pytest

from broker_samples import Sample, bury, crashed, depth, hand_back
from broker_state import FINAL, LEASE_MS, NOW, PENDING, done, fetch, ids_of, lease, send, settle
from builders import make_message
from windlass.brokers.base import (
    Again,
    Park,
)
from windlass.control_plane.cordon import cordon, uncordon
from windlass.control_plane.dead_letters import (
    list_dead,
    show_dead,
)
from windlass.control_plane.queue_record import write_record
from windlass.messages import open_envelope
from windlass.states import Stage

# -- sending and fetching


def test_messages_of_a_priority_are_served_in_the_order_sent_higher_ones_first(
    broker: Any,
) -> None:
    send(broker, "a", "b")
    send(broker, "urgent", priority=9)
    send(broker, "c")

    assert ids_of(fetch(broker, 2)) == ["urgent", "a"]
    assert ids_of(fetch(broker)) == ["b", "c"]
    assert ids_of(fetch(broker)) == []


def test_an_id_that_is_there_is_left_as_it_is(broker: Any) -> None:
    one, two = make_message(id="one"), make_message(id="two")

    assert broker.enqueue([one]) == [True]
    assert broker.enqueue([one, two, two]) == [False, True, False]
    assert depth(broker, one.queue).enqueued == 2
    assert broker.enqueue([]) == []


async def test_the_async_twin_stores_the_same(broker: Any) -> None:
    assert await broker.aenqueue([make_message(id="one", queue="q")]) == [True]
    assert await broker.aenqueue([make_message(id="one", queue="q")]) == [False]
    assert ids_of(fetch(broker)) == ["one"]
    await broker.aclose()


def test_what_is_fetched_has_the_senders_bytes_and_the_brokers_times(broker: Any) -> None:
    sent = send(broker, "one", priority=3, ttl_ms=500)[0]

    delivery = fetch(broker).deliveries[0]

    envelope = open_envelope(delivery.raw)
    assert delivery.raw.endswith(sent.tail)
    assert (envelope.priority, envelope.enqueued_ms, envelope.expires_ms) == (3, NOW, NOW + 500)
    assert envelope.due_ms == 0
    assert (delivery.deliveries, delivery.handbacks, delivery.revoked) == (0, 0, False)


@pytest.mark.parametrize("times", [{"delay_ms": 500}, {"eta_ms": NOW + 500}])
def test_a_scheduled_message_is_not_served_before_it_is_due(
    brokers: Sample, times: dict[str, int]
) -> None:
    broker = brokers.broker
    send(broker, "late", **times)
    send(broker, "past", eta_ms=NOW - 1)

    first = fetch(broker)
    assert ids_of(first) == ["past"]
    assert first.next_due_ms == NOW + 500
    assert broker.stage("late") is Stage.SCHEDULED
    brokers.at(NOW + 499)
    assert ids_of(fetch(broker)) == []
    brokers.at(NOW + 500)
    assert ids_of(fetch(broker)) == ["late"]


def test_due_messages_come_in_the_order_of_their_times_behind_what_is_ready(
    brokers: Sample,
) -> None:
    send(brokers.broker, "second", delay_ms=20)
    send(brokers.broker, "first", delay_ms=10)
    send(brokers.broker, "ready")
    brokers.at(NOW + 30)

    assert ids_of(fetch(brokers.broker)) == ["ready", "first", "second"]


def test_queues_get_an_even_share_or_strictly_one_after_the_other(broker: Any) -> None:
    for queue in ("a", "b"):
        send(broker, *(f"{queue}{n}" for n in range(6)), queue=queue)

    even = fetch(broker, 4, ("a", "b"))
    assert sorted(ids_of(even)) == ["a0", "a1", "b0", "b1"]
    assert ids_of(fetch(broker, 5, ("a", "b"), strict=True)) == ["a2", "a3", "a4", "a5", "b2"]
    assert len(ids_of(fetch(broker, 10, ("a", "b")))) == 3


def test_queues_take_turns_at_being_the_first(broker: Any) -> None:
    for queue in ("a", "b"):
        send(broker, f"{queue}0", f"{queue}1", queue=queue)

    firsts = {ids_of(fetch(broker, 1, ("a", "b")))[0] for _ in range(2)}

    assert firsts == {"a0", "b0"}


def test_one_fetch_of_one_queue_is_one_grant_with_a_token_of_its_own(broker: Any) -> None:
    first = lease(broker, "a", "b")
    second = lease(broker, "c")

    assert len({delivery.token for delivery in first}) == 1
    assert second[0].token > first[0].token


def test_nothing_is_fetched_when_nothing_is_wanted(broker: Any) -> None:
    send(broker, "a")

    assert ids_of(fetch(broker, 0)) == []
    assert broker.exchange([], None) == ([], None)


def test_a_paused_queue_is_enqueued_to_and_not_served(broker: Any) -> None:
    write_record(broker, "q", paused=True)
    send(broker, "a")

    fetched = fetch(broker, queues=("q", "other"))
    assert (ids_of(fetched), fetched.paused) == ([], ("q",))
    assert depth(broker).paused
    write_record(broker, "q", paused=False)
    assert ids_of(fetch(broker)) == ["a"]


def test_a_paused_queue_wakes_nobody_for_what_becomes_due_in_it(broker: Any) -> None:
    write_record(broker, "q", paused=True)
    send(broker, "late", delay_ms=500)

    assert fetch(broker).next_due_ms == 0


def test_a_cordoned_worker_gets_nothing_until_the_cordon_ends(brokers: Sample) -> None:
    broker = brokers.broker
    send(broker, "a", "b")
    cordon(broker, "w1", ttl_ms=1_000)

    assert fetch(broker, 1).cordoned
    assert ids_of(fetch(broker, 1, worker_id="w2")) == ["a"]
    brokers.at(NOW + 1_001)
    assert ids_of(fetch(broker, 1)) == ["b"]
    cordon(broker, "w1", ttl_ms=1_000)
    uncordon(broker, "w1")
    assert not fetch(broker, 1).cordoned


# -- settling


def test_done_ends_the_message_with_its_outcome(brokers: Sample) -> None:
    broker = brokers.broker
    delivery = lease(broker, "a")[0]

    assert settle(broker, done(delivery, result=FINAL, duration_ms=2.5)) == []

    assert brokers.results.get_raw("a") == FINAL.payload
    assert broker.stage("a") is Stage.DONE
    now = depth(broker)
    assert (now.leased, now.completed, now.service_ms) == (0, 1, 2.5)


def test_a_stale_token_does_nothing_and_is_told(brokers: Sample) -> None:
    broker = brokers.broker
    delivery = lease(broker, "a")[0]
    settle(broker, hand_back(delivery))
    again = fetch(broker).deliveries[0]
    stale: list[Any] = [
        done(delivery, result=FINAL, followups=(make_message(id="f", queue="q"),)),
        done(delivery, result=FINAL),
        Again(
            id="a", queue="q", token=delivery.token, message=make_message(id="a", queue="q"),
            result=PENDING,
        ),
        hand_back(delivery, counted=True),
        crashed(delivery),
        bury(delivery, result=FINAL),
        Park(id="a", queue="q", token=delivery.token, task="t"),
    ]  # fmt: skip

    for settlement in stale:
        assert settle(broker, settlement) == ["a"]

    assert not broker.set_state("a", "q", delivery.token, PENDING)
    assert broker.stage("a") is Stage.LEASED
    assert broker.stage("f") is Stage.UNKNOWN
    assert brokers.results.get_raw("a") is None
    assert settle(broker, done(again)) == []


def test_the_same_end_twice_in_one_trip_counts_once(broker: Any) -> None:
    delivery = lease(broker, "a")[0]

    assert settle(broker, done(delivery), done(delivery)) == ["a"]
    assert depth(broker).completed == 1


def test_followups_are_sent_in_the_same_step_and_may_take_over_the_id(broker: Any) -> None:
    delivery = lease(broker, "a")[0]
    followups = (
        make_message(id="a", queue="next"),
        make_message(id="later", queue="next", delay_ms=100),
    )

    assert settle(broker, done(delivery, followups=followups)) == []

    assert broker.stage("a") is Stage.QUEUED
    assert broker.stage("later") is Stage.SCHEDULED
    assert ids_of(fetch(broker, queues=("next",))) == ["a"]


def test_a_retry_replaces_the_message_and_stores_its_state(brokers: Sample) -> None:
    broker = brokers.broker
    delivery = lease(broker, "a")[0]
    message = make_message(id="a", queue="elsewhere", priority=9, delay_ms=100)
    again = Again(id="a", queue="q", token=delivery.token, message=message, result=PENDING)

    assert settle(broker, again) == []

    assert broker.stage("a") is Stage.SCHEDULED
    assert brokers.results.get_raw("a") == PENDING.payload
    brokers.at(NOW + 100)
    assert ids_of(fetch(broker, queues=("elsewhere",))) == ["a"]
    assert depth(broker).completed == 0


def test_hand_backs_go_to_the_front_in_the_order_given(broker: Any) -> None:
    first, second = lease(broker, "a", "b")
    send(broker, "c")

    assert settle(broker, hand_back(first, counted=True), hand_back(second)) == []

    back = fetch(broker).deliveries
    assert [delivery.id for delivery in back] == ["a", "b", "c"]
    assert [delivery.handbacks for delivery in back] == [1, 0, 0]
    assert [delivery.deliveries for delivery in back] == [0, 0, 0]


def test_a_crash_is_counted_and_at_the_cap_a_dead_letter_with_its_outcome(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    send(broker, "a")
    for tried in range(3):
        delivery = fetch(broker).deliveries[0]
        assert delivery.deliveries == tried
        assert settle(broker, crashed(delivery, result=FINAL)) == []

    assert broker.stage("a") is Stage.DEAD
    assert brokers.results.get_raw("a") == FINAL.payload
    letter = show_dead(broker, "q", "a")
    assert letter is not None
    assert (letter.reason, letter.detail) == ("max_deliveries", "signal 9 (SIGKILL)")
    assert (letter.deliveries, letter.worker, letter.at_ms) == (3, "w1", NOW)


def test_the_queue_record_overrides_the_cap(broker: Any) -> None:
    write_record(broker, "q", max_deliveries=1)
    delivery = lease(broker, "a")[0]

    settle(broker, crashed(delivery))

    assert broker.stage("a") is Stage.DEAD


def test_a_retry_begins_to_count_anew(broker: Any) -> None:
    delivery = lease(broker, "a")[0]
    settle(broker, crashed(delivery))
    delivery = fetch(broker).deliveries[0]
    message = make_message(id="a", queue="q")
    settle(broker, Again(id="a", queue="q", token=delivery.token, message=message))

    assert fetch(broker).deliveries[0].deliveries == 0


def test_parked_messages_come_back_for_the_tasks_that_are_known(broker: Any) -> None:
    for delivery in lease(broker, "a", "b"):
        settle(broker, Park(id=delivery.id, queue="q", token=delivery.token, task=delivery.id))

    assert broker.stage("a") is Stage.PARKED
    assert fetch(broker).parked == {"q": 2}
    assert depth(broker).parked == 2
    assert broker.unpark("q", ["b", "c"]) == 1
    assert ids_of(fetch(broker)) == ["b"]
    assert broker.unpark("q", ["a"]) == 1
    assert fetch(broker).parked == {}


def test_a_state_is_stored_while_the_lease_holds(brokers: Sample) -> None:
    delivery = lease(brokers.broker, "a")[0]

    assert brokers.broker.set_state("a", "q", delivery.token, PENDING)
    assert brokers.results.get_raw("a") == PENDING.payload


# -- leases


def test_a_lease_that_is_renewed_does_not_run_out(brokers: Sample) -> None:
    broker = brokers.broker
    token = lease(broker, "a")[0].token

    brokers.at(NOW + LEASE_MS - 1)
    assert broker.renew({"q": [token, 10_000]}, LEASE_MS) == [10_000]
    brokers.at(NOW + LEASE_MS)
    fetched = fetch(broker)
    assert fetched.expired_leases == ()
    assert fetched.next_due_ms == NOW + 2 * LEASE_MS - 1
    assert broker.renew({}, LEASE_MS) == []


def test_an_expired_lease_is_counted_and_its_messages_are_back_at_the_front(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    old = lease(broker, "a", "b")
    send(broker, "c")
    brokers.at(NOW + LEASE_MS)

    assert fetch(broker, 0).expired_leases == ("q",)
    assert depth(broker).open == 3
    assert broker.reap("q", "w2") == 2

    back = fetch(broker).deliveries
    assert [(delivery.id, delivery.deliveries) for delivery in back] == [
        ("a", 1), ("b", 1), ("c", 0),
    ]  # fmt: skip
    assert broker.renew({"q": [old[0].token]}, LEASE_MS) == [old[0].token]
    assert settle(broker, done(old[0])) == ["a"]
    assert broker.reap("q", "w2") == 0


def test_the_oldest_of_several_expired_leases_is_served_first(brokers: Sample) -> None:
    broker = brokers.broker
    lease(broker, "a", "b")
    brokers.at(NOW + 1)
    lease(broker, "c")
    brokers.at(NOW + 1 + LEASE_MS)

    assert broker.reap("q", "w2") == 3
    assert ids_of(fetch(broker)) == ["a", "b", "c"]


def test_what_is_lost_as_often_as_allowed_is_a_dead_letter_with_its_outcome(
    brokers: Sample,
) -> None:
    broker = brokers.broker
    write_record(broker, "q", max_deliveries=1)
    lease(broker, "a")
    brokers.at(NOW + LEASE_MS)

    assert broker.reap("q", "w2") == 1

    assert brokers.results.get_raw("a") == FINAL.payload
    letter = list_dead(broker, "q")[0]
    assert (letter.reason, letter.deliveries, letter.worker) == ("max_deliveries", 1, "w2")
