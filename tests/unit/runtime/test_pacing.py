"""Nothing is hoarded: how many messages a process may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from windlass.runtime.pacing import (
    MESSAGES_PER_LANE,
    MESSAGES_PER_PROCESS,
    WORK_PER_LANE_S,
    Mix,
    RunTime,
    accepts,
    is_refill_due,
    message_cap,
    room_for,
)

durations = st.floats(min_value=0, max_value=1e4)
lanes_ = st.integers(min_value=1, max_value=200)
helds = st.integers(min_value=0, max_value=1500)
loads = st.floats(min_value=0, max_value=1e4)


def test_unmeasured_task_goes_one_to_each_free_lane():
    assert accepts(lanes=2, held=1, load_s=0.0, estimate_s=None)
    assert not accepts(lanes=2, held=2, load_s=0.0, estimate_s=None)


@given(lanes=lanes_, held=helds, load_s=loads, estimate_s=st.none() | durations)
def test_free_lane_takes_any_message(lanes, held, load_s, estimate_s):
    if held < lanes:
        assert accepts(lanes, held, load_s, estimate_s)


@given(lanes=lanes_, estimate_s=st.floats(min_value=1e-5, max_value=100))
def test_process_filled_up_holds_a_second_of_work_a_lane_or_one_message_a_lane(lanes, estimate_s):
    held, load_s = 0, 0.0
    while accepts(lanes, held, load_s, estimate_s) and held < 3000:
        held += 1
        load_s += estimate_s

    assert held <= max(lanes, message_cap(lanes))
    assert held <= lanes or load_s <= lanes * WORK_PER_LANE_S
    assert held >= lanes


@given(lanes=lanes_, held=helds, load_s=loads, estimate_s=st.floats(min_value=1e-5, max_value=100))
def test_room_is_what_would_be_accepted(lanes, held, load_s, estimate_s):
    room = room_for(lanes, held, load_s, estimate_s)

    assert room >= 0
    assert (room > 0) or not accepts(lanes, held, load_s, estimate_s) or held >= lanes


@given(lanes=lanes_)
def test_cap_is_bounded_and_never_below_the_lanes(lanes):
    assert lanes <= message_cap(lanes) <= max(lanes, MESSAGES_PER_PROCESS)
    assert message_cap(1) == MESSAGES_PER_LANE


def test_estimate_is_unknown_before_the_first_run():
    assert RunTime().estimate_s is None


@given(runs=st.lists(durations, min_size=1, max_size=50))
def test_estimate_is_never_below_the_last_run_nor_above_the_longest(runs):
    run_time = RunTime()
    for duration_s in runs:
        run_time.record(duration_s)

    assert run_time.estimate_s is not None
    assert min(runs[-1], max(runs)) <= run_time.estimate_s
    assert run_time.estimate_s <= max(*runs, 1e-5) * (1 + 1e-9)


def test_one_long_run_makes_the_estimate_long_at_once_and_short_ones_bring_it_back():
    run_time = RunTime()
    for _ in range(10):
        run_time.record(0.001)
    run_time.record(5.0)

    assert run_time.estimate_s == 5.0
    for _ in range(400):
        run_time.record(0.001)
    assert run_time.estimate_s is not None
    assert run_time.estimate_s < 0.01


def test_mix_begins_with_caution_and_learns_from_what_is_fetched():
    mix = Mix()
    assert mix.mean_s == WORK_PER_LANE_S
    for _ in range(20):
        mix.record([0.001, 0.001])

    assert mix.mean_s < 0.002


def test_mix_turns_cautious_at_once_when_unknown_tasks_come():
    mix = Mix()
    for _ in range(20):
        mix.record([0.001])
    mix.record([None, None])

    assert mix.mean_s == WORK_PER_LANE_S


def test_empty_fetch_teaches_nothing():
    mix = Mix()
    mix.record([])

    assert mix.mean_s == WORK_PER_LANE_S


def test_refill_is_due_at_half_or_when_a_lane_is_idle():
    assert not is_refill_due(0, 400, idle_lanes=True)
    assert is_refill_due(1, 400, idle_lanes=True)
    assert not is_refill_due(199, 400, idle_lanes=False)
    assert is_refill_due(200, 400, idle_lanes=False)
