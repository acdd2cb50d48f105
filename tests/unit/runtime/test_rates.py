"""The rate limit of one task on one worker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.runtime.rates import TokenBucket


@pytest.mark.parametrize("limit", [None, 0, "0", ""])
def test_no_limit_needs_no_bucket(limit):
    assert TokenBucket.of(limit) is None


def test_starts_are_spaced_by_the_rate():
    bucket = TokenBucket.of("10/s")

    assert bucket.take(100.0) == 0.0
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.1) == 0.0


def test_minutes_and_hours():
    assert TokenBucket.of("60/m").spacing_s == pytest.approx(1.0)
    assert TokenBucket.of("1/h").spacing_s == pytest.approx(3600.0)


def test_idle_time_is_not_saved_up():
    bucket = TokenBucket(10.0)
    bucket.take(0.0)

    assert bucket.take(1000.0) == 0.0
    assert bucket.take(1000.0) > 0.0


@given(st.lists(st.floats(min_value=0, max_value=0.3), min_size=1, max_size=200))
def test_no_more_than_the_rate_and_one_ever_start(gaps):
    bucket, now, starts = TokenBucket(10.0), 0.0, []
    for gap in gaps:
        now += gap
        if bucket.take(now) == 0.0:
            starts.append(now)

    span_s = starts[-1] - starts[0]
    assert len(starts) <= span_s * 10.0 + 2


def test_loop_that_looks_often_loses_no_token():
    bucket, started = TokenBucket(20.0), 0
    for tick in range(1000):  # ten seconds, looked at every 10 ms, never exactly on time
        started += bucket.take(tick * 0.01 + 0.003) == 0.0

    assert 198 <= started <= 202


def test_deferred_messages_come_back_at_the_rate_and_not_all_at_once():
    bucket = TokenBucket(2.0)
    bucket.take(0.0)
    delays = [bucket.defer(0.0) for _ in range(4)]

    assert delays == pytest.approx([1.0, 1.5, 2.0, 2.5])
