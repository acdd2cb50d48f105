"""The demand of queues, against the golden table and a second implementation."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import oracle
from scaling_builders import make_demand, make_inputs

from windlass_operator.scaling.decide import decide_replicas, wanted_replicas
from windlass_operator.scaling.demand import limits_felt, need_slots
from windlass_operator.scaling.stabilize import Behavior

queues = st.fixed_dictionaries(
    {
        "B": st.integers(0, 10**7),
        "D": st.integers(0, 10**5),
        "F": st.integers(0, 10**4),
        "lam": st.floats(0, 1e5),
        "S": st.none() | st.floats(1e-4, 1e4),
        "Td": st.floats(1, 1e5),
        "paused": st.booleans(),
    },
    optional={"r": st.floats(0.01, 1e4), "K": st.integers(0, 1000)},
)


@pytest.mark.parametrize(
    ("queue_letters", "options", "expected"),
    [case[1:] for case in oracle.GOLDEN],
    ids=[case[0] for case in oracle.GOLDEN],
)
def test_golden_table(queue_letters: list[dict], options: dict, expected: int) -> None:
    demands = [make_demand(f"q{i}", **letters) for i, letters in enumerate(queue_letters)]
    behavior = Behavior(minimum=options.get("low", 0), maximum=options.get("high", 100))
    inputs = make_inputs(*demands, slots=options.get("slots", 1), behavior=behavior)

    wanted = max(behavior.minimum, min(behavior.maximum, wanted_replicas(inputs)))

    assert expected == wanted == oracle.replicas(queue_letters, **options)


@given(queues)
def test_need_equals_the_second_implementation(letters: dict) -> None:
    assert need_slots(make_demand(**letters)) == pytest.approx(oracle.need_slots(letters))


@given(queues)
def test_need_is_finite_not_negative_and_never_above_the_work_there_is(letters: dict) -> None:
    need = need_slots(make_demand(**letters))

    assert 0 <= need < math.inf
    if letters["S"] is not None and not letters["paused"]:
        steady = letters["lam"] * letters["S"] / oracle.RHO
        assert need <= max(oracle.work(letters), math.ceil(steady) + 1)


@given(queues, st.integers(1, 10**6))
def test_need_never_falls_when_more_waits(letters: dict, more: int) -> None:
    grown = {**letters, "B": letters["B"] + more}

    assert need_slots(make_demand(**grown)) >= need_slots(make_demand(**letters)) - 1e-9


def test_a_paused_queue_that_still_runs_tasks_is_not_idle() -> None:
    assert not make_demand(F=1, paused=True).idle
    assert make_demand(B=5, paused=True).idle


@given(queues, st.integers(1, 1000))
def test_need_never_exceeds_the_cap_whatever_is_known(letters: dict, cap: int) -> None:
    assert need_slots(make_demand(**{**letters, "K": cap})) <= cap


@given(queues, st.floats(0.01, 1e4))
def test_a_rate_limit_never_raises_the_need(letters: dict, rate: float) -> None:
    free = {key: value for key, value in letters.items() if key != "r"}

    limited = need_slots(make_demand(**{**free, "r": rate}))

    assert limited <= need_slots(make_demand(**free)) + 1e-9


@given(queues)
def test_what_is_held_or_parked_is_no_demand(letters: dict) -> None:
    plain = make_demand(**letters)

    assert need_slots(replace(plain, blocked=10**6, parked=10**6)) == need_slots(plain)
    assert replace(plain, blocked=10**6, parked=10**6).work == plain.work


@pytest.mark.parametrize(
    ("sentence", "letters", "said"),
    [
        ("no limit", {"B": 1000, "S": 1}, ()),
        ("a cap that is felt", {"B": 1000, "S": 1, "K": 10}, ("limited to 10 at once",)),
        ("a cap that is not", {"B": 3, "S": 1, "K": 10}, ()),
        ("a rate that is felt", {"B": 10**4, "S": 1, "r": 100}, ("limited to 100/s",)),
        ("a rate that is not", {"B": 10, "S": 1, "r": 100}, ()),
        ("a rate below one a second", {"B": 10**4, "S": 1, "r": 0.5}, ("limited to 30/m",)),
        ("a rate below one a minute", {"B": 10**4, "S": 60, "r": 2.5 / 3600},
         ("limited to 2.5/h",)),
        ("both", {"B": 10**5, "S": 1, "r": 100, "K": 7},
         ("limited to 100/s", "limited to 7 at once")),
        ("both to the same", {"B": 10**5, "S": 1, "r": 7, "K": 7},
         ("limited to 7/s", "limited to 7 at once")),
        ("nothing measured", {"B": 1000, "K": 10}, ("limited to 10 at once",)),
        ("paused", {"B": 1000, "S": 1, "K": 10, "paused": True}, ()),
    ],
)  # fmt: skip
def test_limits_that_are_felt_are_said(sentence: str, letters: dict, said: tuple) -> None:
    assert limits_felt(make_demand(**letters)) == said, sentence


def test_a_limited_queue_of_unknown_length_gets_what_may_be_begun() -> None:
    """10,000 wait, 2 a second may begin, and nobody knows how long one takes."""
    waiting = make_demand(B=10_000, r=2)
    running = make_demand(B=9_000, F=500, r=2)

    assert need_slots(waiting) == 120
    assert need_slots(running) == 620, "what runs on counts: long tasks get their slots in time"


def test_the_decision_says_its_limits_in_words() -> None:
    capped = make_inputs(make_demand(B=1000, S=1, K=10))
    held = make_inputs(replace(make_demand(F=1, S=1), blocked=5))

    assert "limited to 10 at once" in decide_replicas(capped, 0.0).message
    assert "5 held by limits" in decide_replicas(held, 0.0).message
