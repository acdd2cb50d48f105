"""When the end of a step goes without a look at the queues, and when it does not."""

from __future__ import annotations

import pytest

from traffic_road import Road, done, fetched
from windlass.brokers.base import Delivery
from windlass.runtime.traffic import FEW_STEPS, FEW_STEPS_S, NO_STEPS_S, STEPS_S


@pytest.fixture
def road():
    return Road()


def look(road, now, **fields):
    """A fetch that looks at the queues, and brings something."""
    road.advance(now, want=1)
    message = Delivery(id="m0", queue="a", token=1, raw=b"")
    road.answer(now, fetched=fetched(message, **fields))


def end_step(road, now, *more):
    for each in (done(), *more):
        road.traffic.settle(each, now=now)
    road.traffic.expect_next()
    road.advance(now, want=2)
    return road.exchange.jobs[-1].request


def step(n=2):
    return fetched(Delivery(id=f"m{n}", queue="a", token=1, raw=b""), is_step=True)


def run_steps(road, times):
    for at in times:
        assert end_step(road, at).step_only
        road.answer(at, fetched=step())


def test_after_a_look_at_the_queues_steps_need_none_for_a_moment(road):
    look(road, 10.0)
    run_steps(road, [10.0 + 0.0005 * n for n in range(FEW_STEPS + 5)])

    assert not end_step(road, 10.0 + STEPS_S).step_only
    road.answer(10.011, fetched=fetched(Delivery(id="m9", queue="a", token=9, raw=b"")))
    assert end_step(road, 10.012).step_only


def test_a_few_slow_steps_need_no_look_for_longer(road):
    look(road, 10.0)
    run_steps(road, [10.0 + 0.01 * n for n in range(5)])

    assert not end_step(road, 10.0 + FEW_STEPS_S).step_only


def test_many_steps_need_one_once_the_moment_is_over(road):
    look(road, 10.0)
    run_steps(road, [10.0 + 0.001 * n for n in range(1, FEW_STEPS)])
    run_steps(road, [10.0 + STEPS_S])

    assert not end_step(road, 10.001 + STEPS_S).step_only


def test_the_first_step_looks_at_the_queues(road):
    assert not end_step(road, 10.0).step_only


def test_two_ends_at_once_are_no_step(road):
    look(road, 10.0)

    assert not end_step(road, 10.001, done(2)).step_only


def test_a_step_does_not_pass_by_what_is_due(road):
    look(road, 10.0, next_due_ms=1_000_002)
    assert end_step(road, 10.001).step_only
    road.answer(10.0015, fetched=step())

    assert not end_step(road, 10.003).step_only


def test_after_a_step_that_could_not_be_one_none_is_tried_for_a_while(road):
    look(road, 10.0)
    assert end_step(road, 10.001).step_only
    road.answer(10.002, fetched=fetched(Delivery(id="m2", queue="a", token=2, raw=b"")))

    assert not end_step(road, 10.003).step_only
    road.answer(10.0 + NO_STEPS_S, fetched=fetched(Delivery(id="m2", queue="a", token=2, raw=b"")))
    assert end_step(road, 10.003 + NO_STEPS_S).step_only


def test_a_step_says_nothing_of_the_queues(road):
    look(road, 10.0, next_due_ms=1_005_000)
    end_step(road, 10.001)
    due_at = road.traffic.next_due_at
    road.answer(10.002, fetched=step())

    assert road.traffic.next_due_at == due_at
    assert not road.traffic.is_registered
    road.advance(10.003, want=1)
    assert len(road.exchange.jobs) == 2, "the end of the step will ask"
    assert road.state.fetched_total == 2
