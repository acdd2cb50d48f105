"""When what goes to the broker, and what an outage does to it."""

from __future__ import annotations

import pytest

from traffic_road import Road, done, fetched
from windlass.brokers.base import Delivery
from windlass.errors import BrokerError, OperationalError
from windlass.runtime.exchange import Woken
from windlass.runtime.traffic import (
    COALESCE_S,
    CORDON_POLL_S,
    QUIET_S,
    TRIES_TOGETHER,
)


@pytest.fixture
def road():
    return Road()


def wait_for_one(road):
    road.advance(10.0, want=1)
    road.answer(10.1, fetched=fetched())
    road.advance(10.1, want=1)
    assert road.waker.is_armed


def bring_next(road, now, want):
    road.traffic.settle(done(), now=now)
    road.traffic.expect_next()
    road.advance(now, want=want)
    road.answer(now, fetched=fetched(Delivery(id="m2", queue="a", token=2, raw=b"")))


def test_lone_outcome_leaves_at_once_and_by_itself(road):
    road.traffic.settle(done(), now=10.0)
    road.advance(10.0)

    (job,) = road.exchange.jobs
    assert job.settlements == [done()]
    assert job.request is None


def test_outcomes_right_after_a_departure_gather_for_a_moment(road):
    road.traffic.settle(done(1), now=10.0)
    road.advance(10.0)
    road.answer(10.0005)
    road.traffic.settle(done(2), now=10.001)
    road.advance(10.001)
    road.traffic.settle(done(3), now=10.002)
    assert len(road.exchange.jobs) == 1
    assert road.traffic.next_time(10.002) == pytest.approx(10.0 + COALESCE_S)
    road.advance(10.0 + COALESCE_S)

    assert [s.id for s in road.exchange.jobs[1].settlements] == ["m2", "m3"]


def test_outcome_leaves_at_once_with_a_fetch_that_is_due(road):
    road.traffic.settle(done(), now=10.0)
    road.advance(10.0, want=3)

    (job,) = road.exchange.jobs
    assert (len(job.settlements), job.request.want) == (1, 3)
    assert job.request.queues == ("a", "b")
    assert job.request.lease_ms == 15_000


def test_outcomes_gather_while_one_job_is_out_and_go_with_the_next(road):
    road.advance(10.0, want=1)
    for n in range(5):
        road.traffic.settle(done(n), now=10.0)
    road.advance(11.0, want=1)
    assert len(road.exchange.jobs) == 1
    road.answer(11.0, fetched=fetched(object()))
    road.advance(11.0 + COALESCE_S)

    assert len(road.exchange.jobs[1].settlements) == 5


def test_nothing_is_fetched_while_nothing_is_due_or_wanted(road):
    road.advance(10.0, want=5, is_due=False)
    road.advance(10.0, want=0)

    assert road.exchange.jobs == []


def test_empty_fetch_is_followed_by_waiting_and_not_by_asking_again(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)

    assert len(road.exchange.jobs) == 1
    assert road.waker.orders[0][0].want == 2
    assert road.waker.orders[0][1] == 5.0


def test_settling_goes_on_while_the_waker_waits(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)
    road.traffic.settle(done(), now=11.0)
    road.advance(11.1, want=2)

    assert road.exchange.jobs[-1].request is None
    assert len(road.exchange.jobs[-1].settlements) == 1


def test_wait_ends_when_the_next_message_is_due(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched(next_due_ms=1_000_250))
    road.advance(10.1, want=2)

    assert road.waker.orders[0][1] == pytest.approx(0.15)


def test_only_one_fetch_is_ever_on_its_way(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)
    road.advance(10.5, want=2)

    assert len(road.exchange.jobs) == 1
    assert len(road.waker.orders) == 1


def test_the_end_of_a_step_takes_a_fetch_along_beside_the_wait_for_the_room_that_is_left(road):
    wait_for_one(road)
    road.traffic.settle(done(), now=10.2)
    road.traffic.expect_next()
    road.advance(10.2, want=3)

    job = road.exchange.jobs[-1]
    assert job.settlements == [done()]
    assert job.request.want == 2, "the waker may bring one"


def test_the_end_of_a_step_goes_alone_when_the_wait_may_fill_all_there_is_room_for(road):
    wait_for_one(road)
    road.traffic.settle(done(), now=10.2)
    road.traffic.expect_next()
    road.advance(10.2, want=1)

    assert road.exchange.jobs[-1].request is None
    assert road.exchange.jobs[-1].settlements == [done()]


def test_after_a_step_brought_all_there_was_the_queue_is_left_alone_for_a_moment(road):
    bring_next(road, 10.0, want=2)
    road.advance(10.001, want=1)
    assert len(road.exchange.jobs) == 1
    assert road.traffic.next_time(10.001) == pytest.approx(10.0 + QUIET_S)

    bring_next(road, 10.002, want=2)
    assert road.exchange.jobs[-1].request is not None, "the end of the next step asks at once"
    road.advance(10.002 + QUIET_S, want=1)
    assert len(road.exchange.jobs) == 3


def test_after_a_step_brought_all_that_was_wanted_the_next_fetch_is_not_put_off(road):
    bring_next(road, 10.0, want=1)
    road.advance(10.0001, want=1)

    assert len(road.exchange.jobs) == 2


def test_wait_is_cut_short_when_there_is_no_room_any_more(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)
    road.advance(10.1, want=0)
    road.advance(10.15, want=0)
    assert road.waker.interrupts == 1
    road.traffic.on_woken(Woken(error=OperationalError("cut"), at=10.2))
    assert road.state.connected
    road.advance(10.3, want=2)

    assert len(road.exchange.jobs) == 2


def test_wait_that_was_not_blocked_yet_is_cut_short_again(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)
    road.advance(10.1, want=0)
    road.advance(10.4, want=0)

    assert road.waker.interrupts == 2


def test_full_fetch_is_followed_by_the_next_fetch(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched(object()))
    road.advance(10.0, want=1)

    assert len(road.exchange.jobs) == 2
    assert road.waker.orders == []


def test_failed_job_is_done_again_whole_and_in_order_after_a_pause(road):
    road.traffic.settle(done(1), now=10.0)
    road.advance(10.0, want=1)
    road.traffic.settle(done(2), now=10.0)
    assert not road.answer(10.0, error=OperationalError("away"))
    road.advance(10.01, want=1)
    assert len(road.exchange.jobs) == 1
    road.advance(10.2, want=1)

    assert [s.id for s in road.exchange.jobs[1].settlements] == ["m1", "m2"]


def test_pauses_of_an_outage_grow_to_ten_seconds_at_most(road):
    now, pauses = 10.0, []
    for _ in range(12):
        road.traffic.settle(done(), now)
        road.advance(now, want=1)
        road.answer(now, error=OperationalError("away"))
        pauses.append(road.traffic.next_time(now) - now)
        now = road.traffic.next_time(now)

    assert 0.05 <= pauses[0] <= 0.1
    assert all(pause <= 10.0 for pause in pauses)
    assert pauses[-1] >= 5.0


def test_outage_is_logged_once_and_its_end_once(road, caplog):
    caplog.set_level("INFO")
    now = 10.0
    road.traffic.settle(done(), now)
    for _ in range(4):
        road.advance(now, want=1)
        road.answer(now, error=OperationalError("away"))
        now = road.traffic.next_time(now)
    assert not road.state.connected
    road.advance(now, want=1)
    road.answer(now, fetched=fetched())

    assert road.state.connected
    # The other link, made before the outage, is found broken: no outage of its own.
    road.waker.is_armed = True
    road.traffic.on_woken(Woken(error=OperationalError("cut"), at=now + 0.5))
    assert road.state.reconnects_total == 1
    assert caplog.text.count("broker_connection_lost") == 1
    assert caplog.text.count("broker_reconnected") == 1

    road.traffic.on_woken(Woken(error=OperationalError("cut"), at=now + 5.0))
    assert caplog.text.count("broker_connection_lost") == 2


def test_failed_wait_is_followed_by_a_fetch_since_the_broker_forgot_that_we_wait(road):
    road.advance(10.0, want=2)
    road.answer(10.0, fetched=fetched())
    road.advance(10.0, want=2)
    road.waker.is_armed = True
    road.traffic.on_woken(Woken(error=OperationalError("away"), at=11.0))
    road.advance(12.0, want=2)

    assert len(road.exchange.jobs) == 2


def test_after_an_outage_comes_a_fetch_before_the_next_wait(road):
    road.advance(10.0, want=1)
    road.answer(10.0, fetched=fetched())  # the broker knows that we wait, and then forgets
    road.traffic.settle(done(), now=10.1)
    road.advance(10.1, want=1, is_due=False)
    road.answer(10.1, error=OperationalError("away"))
    road.advance(12.0, want=1)

    assert road.exchange.jobs[-1].request is not None
    assert road.waker.orders == []


def test_settlement_that_the_server_refuses_is_found_and_dropped_and_the_others_pass(road):
    now = 10.0
    for n in range(3):
        road.traffic.settle(done(n), now)
    settled, now = [], now + 1
    for _ in range(4 * TRIES_TOGETHER):
        road.advance(now)
        if not road.exchange.is_busy:
            break
        ids = [s.id for s in road.exchange.jobs[-1].settlements]
        if "m1" in ids:
            road.answer(now, error=BrokerError("refused"))
        else:
            road.answer(now)
            settled += ids
        now = max(now, road.traffic.next_time(now))

    assert settled == ["m0", "m2"]
    assert road.dropped == [done(1)]
    assert road.traffic.settlements == []


def test_cordoned_worker_neither_waits_nor_asks_at_once(road):
    road.advance(10.0, want=1)
    road.answer(10.0, fetched=fetched(cordoned=True))
    road.advance(10.1, want=1)
    assert road.state.cordoned
    assert (len(road.exchange.jobs), road.waker.orders) == (1, [])
    road.advance(10.0 + CORDON_POLL_S, want=1)
    assert len(road.exchange.jobs) == 2
    road.answer(11.0, fetched=fetched())

    assert not road.state.cordoned


def test_expired_leases_are_reaped_at_once(road):
    road.advance(10.0, want=1)
    road.answer(10.0, fetched=fetched(expired_leases=("b",)))
    road.advance(10.0, want=0)

    assert road.exchange.jobs[-1].reap == ("b",)


def test_parked_messages_are_looked_at_once_for_each_generation(road):
    road.advance(10.0, want=1)
    road.answer(10.0, fetched=fetched(parked={"a": 3}))
    road.advance(10.0, want=0)
    assert road.exchange.jobs[-1].unpark == ("a",)
    road.answer(10.0)
    for generation, unparks in ((3, ()), (4, ("a",))):
        road.traffic.is_registered = False
        road.advance(11.0, want=1)
        road.answer(11.0, fetched=fetched(parked={"a": generation}))
        road.advance(11.0, want=0)
        assert road.exchange.jobs[-1].unpark == unparks
        if road.exchange.is_busy:
            road.answer(11.0)


def test_idle_means_that_nothing_is_out_and_nothing_waits(road):
    assert road.traffic.is_idle
    road.traffic.settle(done(), now=10.0)
    assert not road.traffic.is_idle
    road.advance(11.0)
    assert not road.traffic.is_idle
    road.answer(11.0)
    assert road.traffic.is_idle
