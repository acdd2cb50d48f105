"""Division of shared queues among pools."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from windlass_operator.scaling.divide import PoolCapacity, divide, share


@given(st.floats(0, 1e6), st.lists(st.integers(0, 1000), min_size=1, max_size=8))
def test_parts_sum_to_the_need_or_to_all_capacity(need: float, capacities: list[int]) -> None:
    parts = share(need, capacities)

    assert sum(parts) == min(math.ceil(round(need, 9)), sum(capacities))
    assert all(0 <= part <= capacity for part, capacity in zip(parts, capacities, strict=True))


def test_equal_pools_get_equal_parts_and_a_full_one_none() -> None:
    assert share(25, [40, 40]) == [13, 12]
    assert share(4, [40, 40]) == [2, 2]
    assert share(10, [0, 20]) == [0, 10]


def test_one_task_on_a_shared_queue_goes_to_one_pool_only() -> None:
    pools = [
        PoolCapacity(pool="a", queues=("q",), slots=10),
        PoolCapacity(pool="b", queues=("q",), slots=10),
    ]

    assert divide({"q": 0.03}, pools) == {"a": {"q": 1.0}, "b": {"q": 0.0}}


def test_a_queue_of_one_pool_keeps_its_fraction() -> None:
    pools = [PoolCapacity(pool="a", queues=("x", "y"), slots=10)]

    assert divide({"x": 0.2, "y": 0.3}, pools) == {"a": {"x": 0.2, "y": 0.3}}


def test_what_a_pool_does_for_one_queue_is_not_free_for_the_next() -> None:
    pools = [
        PoolCapacity(pool="a", queues=("x", "y"), slots=4),
        PoolCapacity(pool="b", queues=("y",), slots=4),
    ]

    assert divide({"x": 4.0, "y": 4.0}, pools) == {"a": {"x": 4.0, "y": 0.0}, "b": {"y": 4.0}}
