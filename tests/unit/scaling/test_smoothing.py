"""Arrivals and run times from totals."""

from __future__ import annotations

import math

import pytest

from windlass_operator.scaling.smoothing import HALF_LIFE_S, QueueHistory, QueueTotals, update


def totals(
    at_s: float, enqueued: int = 0, completed: int = 0, service_ms: float = 0
) -> QueueTotals:
    return QueueTotals(at_s=at_s, enqueued=enqueued, completed=completed, service_ms=service_ms)


def test_the_first_reading_teaches_nothing() -> None:
    history = update(QueueHistory(), totals(0, enqueued=10**6), 300)

    assert (history.arrival_rate, history.service_s) == (0.0, None)


def test_after_one_half_life_the_rate_is_half_way() -> None:
    history = update(QueueHistory(), totals(0), 300)
    history = update(history, totals(HALF_LIFE_S, enqueued=int(10 * HALF_LIFE_S)), 300)

    assert history.arrival_rate == pytest.approx(5.0)


def test_a_steady_rate_is_found_whatever_the_tick() -> None:
    for tick in (1, 5, 17):
        history = update(QueueHistory(), totals(0), 300)
        for step in range(1, 600 // tick):
            history = update(history, totals(step * tick, enqueued=8 * step * tick), 300)

        assert history.arrival_rate == pytest.approx(8.0, rel=0.01)


def test_a_quiet_window_makes_the_rate_exactly_zero() -> None:
    history = update(QueueHistory(), totals(0), 300)
    history = update(history, totals(5, enqueued=100), 300)
    history = update(history, totals(200, enqueued=100), 300)
    assert history.arrival_rate > 0

    history = update(history, totals(305, enqueued=100), 300)

    assert history.arrival_rate == 0.0


def test_run_time_is_the_mean_of_what_was_completed() -> None:
    history = update(QueueHistory(), totals(0), 300)
    history = update(history, totals(5, completed=10, service_ms=2000), 300)

    assert history.service_s == pytest.approx(0.2)


def test_few_samples_move_the_run_time_little_and_many_much() -> None:
    start = update(update(QueueHistory(), totals(0), 300), totals(5, 0, 100, 100_000), 300)
    one = update(start, totals(10, 0, 101, 200_000), 300)
    many = update(start, totals(10, 0, 1100, 100_100_000), 300)

    assert one.service_s is not None
    assert many.service_s is not None
    assert one.service_s < 20 < 95 < many.service_s


def test_counters_that_went_back_teach_nothing() -> None:
    history = update(update(QueueHistory(), totals(0), 300), totals(5, 100, 100, 1000), 300)
    after_flush = update(history, totals(10, 1, 0, 0), 300)

    assert after_flush.arrival_rate == history.arrival_rate
    assert after_flush.service_s == history.service_s


def test_a_reading_of_the_same_instant_or_before_changes_nothing() -> None:
    history = update(update(QueueHistory(), totals(10), 300), totals(15, 100), 300)

    assert update(history, totals(15, 200), 300) == history
    assert update(history, totals(3, 200), 300) == history


def test_a_broken_sum_of_run_times_is_not_believed() -> None:
    history = update(update(QueueHistory(), totals(0), 300), totals(5, 1, 1, 100), 300)

    assert update(history, totals(10, 2, 2, math.nan), 300).service_s == history.service_s
