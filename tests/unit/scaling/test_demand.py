"""The demand of queues, against the golden table and a second implementation."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
import oracle
from scaling_builders import make_demand, make_inputs

from windlass_operator.scaling.decide import wanted_replicas
from windlass_operator.scaling.demand import need_slots
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
