"""Whether a task runs again and when: pure decisions (Celery semantics 14 to 16)."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import Ignore, Reject, Retry
from windlass.retries import RetryPolicy, is_exhausted


def runs(max_retries: int | None, most: int = 50) -> int:
    """Count the runs of a task that always asks for a retry."""
    policy = RetryPolicy(max_retries=max_retries)
    retries = 0
    while retries < most and policy.decide(retries).retry:
        retries += 1
    return retries + 1


@pytest.mark.parametrize(("max_retries", "expected"), [(3, 4), (0, 1), (1, 2), (None, 51)])
def test_max_retries_counts_what_follows_the_first_run(
    max_retries: int | None, expected: int
) -> None:
    assert runs(max_retries) == expected


def test_max_retries_of_one_decision_does_not_change_the_policy() -> None:
    policy = RetryPolicy(max_retries=3)

    assert policy.decide(5, max_retries=10).retry
    assert not policy.decide(5).retry
    assert not policy.decide(1, max_retries=1).retry


def test_delay_is_countdown_else_the_default_and_eta_goes_first() -> None:
    policy = RetryPolicy(default_delay_s=180)
    eta = datetime(2026, 1, 1, tzinfo=UTC)

    assert policy.decide(0).when == 180
    assert policy.decide(0, countdown=0).when == 0
    assert policy.decide(0, countdown=7).when == 7
    assert policy.decide(0, countdown=7, eta=eta).when == eta
    assert policy.decide(0, countdown=-1).when == 0


@pytest.mark.parametrize(
    ("error", "covered"),
    [
        (ConnectionError(), True),
        (ConnectionResetError(), True),
        (BrokenPipeError(), False),  # excepted
        (ValueError(), False),
        (Retry(), False),
        (Ignore(), False),
        (Reject(), False),
    ],
)
def test_autoretry_for_covers_subclasses_but_not_exceptions_to_it_nor_control_flow(
    error: Exception, covered: bool
) -> None:
    policy = RetryPolicy(
        autoretry_for=(ConnectionError, Retry, Ignore, Reject),
        dont_autoretry_for=(BrokenPipeError,),
    )

    assert policy.covers(error) is covered


def test_control_flow_is_not_retried_even_by_exception() -> None:
    assert not RetryPolicy(autoretry_for=(Exception,)).covers(Retry())


def test_backoff_doubles_up_to_its_cap() -> None:
    policy = RetryPolicy(backoff_s=3, backoff_max_s=20, jitter=False)

    assert [policy.automatic_delay_s(n, Random(0)) for n in range(5)] == [3, 6, 12, 20, 20]


def test_without_backoff_the_delay_is_the_countdown_else_the_default() -> None:
    assert RetryPolicy(kwargs={"countdown": 5}).automatic_delay_s(4, Random(0)) == 5
    assert RetryPolicy(default_delay_s=9).automatic_delay_s(4, Random(0)) == 9


def test_backoff_wins_over_a_countdown() -> None:
    policy = RetryPolicy(kwargs={"countdown": 5}, backoff_s=1, jitter=False)

    assert policy.automatic_delay_s(3, Random(0)) == 8


@given(
    retries=st.integers(0, 10_000),
    factor=st.floats(1, 1e6),
    cap=st.floats(1, 1e6),
    seed=st.integers(),
)
def test_jitter_draws_from_zero_to_the_delay(
    retries: int, factor: float, cap: float, seed: int
) -> None:
    full = RetryPolicy(backoff_s=factor, backoff_max_s=cap, jitter=False)
    drawn = RetryPolicy(backoff_s=factor, backoff_max_s=cap)
    delay_s = full.automatic_delay_s(retries, Random(seed))

    assert 0 < delay_s <= cap
    assert 0 <= drawn.automatic_delay_s(retries, Random(seed)) <= delay_s


def test_jitter_spreads_over_the_whole_range() -> None:
    policy = RetryPolicy(backoff_s=64, jitter=True)
    random = Random(1)
    drawn = [policy.automatic_delay_s(0, random) for _ in range(500)]

    assert min(drawn) < 8
    assert max(drawn) > 56


@given(retries=st.integers(0, 100), cap=st.integers(0, 100))
def test_a_used_up_task_stays_used_up(retries: int, cap: int) -> None:
    assert is_exhausted(retries, cap) <= is_exhausted(retries + 1, cap)
    assert not is_exhausted(retries, None)
