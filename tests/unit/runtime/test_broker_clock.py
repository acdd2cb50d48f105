"""The broker's clock by offsets that are each a little too small."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.runtime.broker_clock import BrokerClock


@given(
    st.lists(st.floats(min_value=0, max_value=0.2), min_size=1, max_size=50),
    st.floats(min_value=-1e9, max_value=2e12),
)
def test_offset_is_within_the_delays_and_never_ahead_of_the_broker(delays_s, true_ms):
    clock = BrokerClock()
    for step, delay_s in enumerate(delays_s):
        stamped_at = float(step)
        clock.measure(stamped_at * 1000 + true_ms, stamped_at + delay_s)

    assert clock.offset_ms <= true_ms + 0.01
    assert clock.offset_ms >= true_ms - max(delays_s) * 1000 - 0.01


def test_answer_that_came_sooner_is_believed_at_once_and_a_late_one_hardly():
    clock = BrokerClock()
    clock.measure(10_000.0, 0.5)
    clock.measure(11_000.0, 1.0)
    assert clock.offset_ms == 10_000.0
    clock.measure(12_000.0, 2.1)

    assert 9_990.0 < clock.offset_ms < 10_000.0


def test_clock_that_was_set_back_is_followed_at_once():
    clock = BrokerClock()
    clock.measure(1_000_000.0, 0.0)
    clock.measure(500_000.0, 0.0)

    assert clock.offset_ms == 500_000.0


def test_times_convert_both_ways():
    clock = BrokerClock()
    clock.measure(5_000_000.0, 100.0)

    assert clock.now_ms(101.0) == 5_001_000
    assert clock.monotonic_at(5_001_000) == pytest.approx(101.0)
