"""Decisions of one pool: bounds, windows, zero, missing metrics, growth that would not help."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from scaling_builders import make_demand, make_inputs, make_memory

from windlass_operator.scaling.decide import (
    Fallback,
    FallbackBehavior,
    PoolInputs,
    Reason,
    ScaleDecision,
    decide_replicas,
)
from windlass_operator.scaling.stabilize import Behavior, Hold

FAST = Behavior(maximum=100, down_window_s=60, scale_to_zero_after_s=30)


def run(steps: list[tuple[float, PoolInputs]]) -> list[ScaleDecision]:
    """Decide at each time with the memory and the count of the step before."""
    decisions: list[ScaleDecision] = []
    for now_s, inputs in steps:
        if decisions:
            inputs = replace(inputs, memory=decisions[-1].memory, current=decisions[-1].replicas)
        decisions.append(decide_replicas(inputs, now_s))
    return decisions


def test_zero_to_one_is_decided_at_once() -> None:
    decision = decide_replicas(make_inputs(make_demand(B=1, S=2)), 0)

    assert (decision.replicas, decision.reason) == (1, Reason.SCALED_UP)


def test_growth_is_limited_to_four_or_double_in_fifteen_seconds() -> None:
    inputs = make_inputs(make_demand(B=6000, S=1))

    counts = [d.replicas for d in run([(float(t), inputs) for t in range(0, 65, 5)])]

    assert counts == [4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64]


def test_nothing_shrinks_until_a_whole_window_has_not_needed_it() -> None:
    busy, quiet = make_demand(B=600, S=1), make_demand(F=1, S=1)
    steps = [(0.0, make_inputs(busy, current=10, behavior=FAST))]
    steps += [(float(t), make_inputs(quiet, behavior=FAST)) for t in range(5, 75, 5)]

    decisions = run(steps)

    assert [d.replicas for d in decisions[:13]] == [10] * 13
    assert decisions[6].hold is Hold.WINDOW
    assert decisions[13].replicas == 5  # at most half in a minute


def test_a_restarted_operator_shrinks_nothing_for_one_window() -> None:
    memory = make_memory(since_s=0.0)
    inputs = make_inputs(make_demand(S=1), current=7, behavior=FAST, memory=memory)

    early, late = decide_replicas(inputs, 59.0), decide_replicas(inputs, 60.0)

    assert (early.replicas, early.hold) == (7, Hold.WARMING_UP)
    assert late.replicas < 7


def test_the_last_replica_goes_only_after_the_idle_time() -> None:
    memory = make_memory(last_active_s=100.0)
    inputs = make_inputs(make_demand(S=1), current=1, behavior=FAST, memory=memory)

    before, after = decide_replicas(inputs, 129.0), decide_replicas(inputs, 130.0)

    assert (before.replicas, before.hold) == (1, Hold.IDLE_TIME)
    assert (after.replicas, after.reason) == (0, Reason.SCALED_TO_ZERO)


def test_a_running_task_of_a_paused_queue_keeps_the_last_replica() -> None:
    inputs = make_inputs(make_demand(F=1, S=1, paused=True), current=1, behavior=FAST)

    assert decide_replicas(inputs, 1000.0).replicas == 1


def test_small_differences_are_left_alone_but_never_the_way_to_a_bound() -> None:
    behavior = Behavior(maximum=22, down_window_s=0)
    near = make_inputs(make_demand(B=21 * 60, S=1), current=20, behavior=behavior)
    bound = make_inputs(make_demand(B=22 * 60, S=1), current=21, behavior=behavior)

    assert decide_replicas(near, 0).replicas == 20
    assert decide_replicas(near, 0).hold is Hold.TOLERANCE
    assert decide_replicas(bound, 0).replicas == 22


def test_missing_metrics_never_shrink_and_never_become_zero() -> None:
    inputs = make_inputs(
        make_demand(S=1), current=5, behavior=FAST, missing=frozenset({"q"}), failures=1
    )

    decision = decide_replicas(inputs, 10_000.0)

    assert (decision.replicas, decision.reason) == (5, Reason.METRICS_MISSING)


def test_one_missing_queue_does_not_keep_another_from_growing() -> None:
    inputs = make_inputs(
        make_demand("a", S=1),
        make_demand("b", B=240, S=1),
        current=1,
        missing=frozenset({"a"}),
        failures=1,
    )

    assert decide_replicas(inputs, 0).replicas == 4


def test_fallback_works_from_zero_after_the_threshold() -> None:
    def at(failures: int, behavior: FallbackBehavior, current: int = 0) -> int:
        fallback = Fallback(behavior=behavior, replicas=3)
        inputs = make_inputs(
            make_demand(S=1),
            current=current,
            missing=frozenset({"q"}),
            failures=failures,
            fallback=fallback,
        )
        return decide_replicas(inputs, 0).replicas

    assert at(3, FallbackBehavior.STATIC) == 0
    assert at(4, FallbackBehavior.STATIC) == 3
    assert at(4, FallbackBehavior.STATIC, current=9) == 3
    assert at(4, FallbackBehavior.AT_LEAST, current=9) == 9
    assert at(4, FallbackBehavior.AT_LEAST, current=1) == 3
    assert at(4, FallbackBehavior.HOLD, current=2) == 2


def test_crash_looping_workers_do_not_multiply() -> None:
    inputs = make_inputs(make_demand(B=600, S=1), current=2, growth_blocked="workers crash")

    decision = decide_replicas(inputs, 0)

    assert (decision.replicas, decision.reason) == (2, Reason.GROWTH_BLOCKED)
    assert "no growth: workers crash" in decision.message


def test_of_a_shared_queue_only_the_pool_with_a_part_of_it_wakes() -> None:
    demand = make_demand(B=1, S=1)
    without = make_inputs(demand, shares={"q": 0.0}, shared=frozenset({"q"}))

    assert decide_replicas(without, 0).replicas == 0
    assert decide_replicas(make_inputs(demand, shared=frozenset({"q"})), 0).replicas == 1


def test_a_paused_pool_keeps_its_count() -> None:
    inputs = make_inputs(make_demand(B=600, S=1), current=2, paused=True)

    assert decide_replicas(inputs, 0).replicas == 2


def test_lowered_maximum_and_raised_minimum_are_followed() -> None:
    low = Behavior(minimum=0, maximum=3, down_window_s=0)
    high = Behavior(minimum=6, maximum=9)

    assert (
        decide_replicas(make_inputs(make_demand(B=900, S=1), current=9, behavior=low), 0).replicas
        == 3
    )
    assert decide_replicas(make_inputs(make_demand(S=1), current=1, behavior=high), 0).replicas == 6


def test_work_up_to_the_activation_wakes_nobody() -> None:
    assert decide_replicas(make_inputs(make_demand(B=0, S=1), activation=5), 0).replicas == 0
    assert decide_replicas(make_inputs(make_demand(B=6, S=0.01), activation=5), 0).replicas == 1


def test_a_clock_set_back_does_not_hold_for_ever() -> None:
    memory = make_memory(wanted=((1_000_000.0, 9),), last_active_s=1_000_000.0, since_s=1_000_000.0)
    steps = [
        (float(t), make_inputs(make_demand(S=1), current=9, behavior=FAST, memory=memory))
        for t in range(0, 400, 5)
    ]

    assert run(steps)[-1].replicas == 0


def test_the_message_names_every_input() -> None:
    demand = make_demand("emails", B=600, D=2, F=5, lam=8.0, S=0.5)

    message = decide_replicas(make_inputs(demand, current=3), 0).message

    assert message == (
        "queue emails: 600 waiting, 2 due soon, 5 running, 8/s arriving, 0.5 s each, "
        "10 slots of this pool; work wants 11, bounds 0..100 give 11; 3 -> 7 (held: StepLimited)."
    )


def test_large_numbers_are_written_out() -> None:
    message = decide_replicas(make_inputs(make_demand(B=2000), current=3), 0).message

    assert "2000 slots of this pool" in message


loads = st.builds(
    make_demand,
    B=st.integers(0, 10**6),
    D=st.integers(0, 1000),
    F=st.integers(0, 1000),
    lam=st.floats(0, 1000),
    S=st.none() | st.floats(0.001, 1000),
    paused=st.booleans(),
)
bounds = st.tuples(st.integers(0, 50), st.integers(0, 50)).map(sorted)


@given(loads, bounds, st.integers(0, 60), st.integers(1, 64), st.data())
def test_any_decision_is_within_bounds_and_repeatable(
    load: Any, limits: list[int], current: int, slots: int, data: Any
) -> None:
    behavior = Behavior(
        minimum=limits[0], maximum=limits[1], down_window_s=data.draw(st.floats(0, 600))
    )
    inputs = make_inputs(load, current=current, slots=slots, behavior=behavior)

    decision = decide_replicas(inputs, 0)

    assert limits[0] <= decision.replicas <= limits[1]
    assert decide_replicas(inputs, 0) == decision


@given(st.lists(st.integers(0, 2000), min_size=2, max_size=60))
def test_no_two_directions_within_one_down_window_under_any_load(backlogs: list[int]) -> None:
    steps = [
        (5.0 * i, make_inputs(make_demand(B=b, S=1), behavior=FAST, current=0))
        for i, b in enumerate(backlogs)
    ]

    decisions = run(steps)

    ups = [
        5.0 * i
        for i in range(1, len(decisions))
        if decisions[i].replicas > decisions[i - 1].replicas
    ]
    downs = [
        5.0 * i
        for i in range(1, len(decisions))
        if decisions[i].replicas < decisions[i - 1].replicas
    ]
    for down in downs:
        wanted_before = [d.wanted for i, d in enumerate(decisions) if down - 60 <= 5.0 * i <= down]
        assert max(wanted_before) <= decisions[int(down / 5) - 1].replicas
        assert not any(0 < down - up < 5.0 for up in ups)
