"""What the stabiliser remembers is little, and decides as if it were everything."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from windlass_operator.scaling.stabilize import Behavior, Memory, remember, stabilize

HOUR = Behavior(maximum=100, up_window_s=60, down_window_s=3600)


def remember_all(memory: Memory, behavior: Behavior, now_s: float, wanted: int) -> Memory:
    """As `remember`, but nothing is left out."""
    longest = max(behavior.up_window_s, behavior.down_window_s)
    past = tuple((at, n) for at, n in memory.wanted if at >= now_s - longest)
    return replace(
        remember(memory, behavior, now_s, wanted, active=True), wanted=(*past, (now_s, wanted))
    )


def test_a_steady_pool_is_one_entry_however_long_its_window() -> None:
    memory = Memory(since_s=0.0, last_active_s=0.0)
    for tick in range(720):
        memory = remember(memory, HOUR, tick * 5.0, 7, active=True)

    assert len(memory.wanted) == 1


@given(
    st.lists(st.tuples(st.floats(0.5, 120), st.integers(0, 4)), min_size=1, max_size=60),
    st.integers(0, 10),
    st.sampled_from([0.0, 15.0, 60.0]),
    st.sampled_from([0.0, 60.0, 300.0]),
)
def test_leaving_equal_counts_out_changes_no_decision(
    steps: list[tuple[float, int]], current: int, up_s: float, down_s: float
) -> None:
    behavior = Behavior(maximum=100, up_window_s=up_s, down_window_s=down_s)
    small = full = Memory(since_s=-1e6, last_active_s=0.0)
    now_s = 0.0
    for passed_s, wanted in steps:
        now_s += passed_s
        small = remember(small, behavior, now_s, wanted, active=True)
        full = remember_all(full, behavior, now_s, wanted)
        chosen = stabilize(small, behavior, now_s, current, idle=False)
        assert chosen == stabilize(full, behavior, now_s, current, idle=False)
        current = chosen[0]
