"""When a slot process is replaced, and how soon a dead one comes back."""

from __future__ import annotations

import os

import pytest

from windlass.runtime.recycling import Recycling, RestartPacing, Verdict, resident_kib


@pytest.mark.parametrize(
    ("rss_kib", "verdict"),
    [
        (100, Verdict.KEEP),
        (1000, Verdict.KEEP),
        (1001, Verdict.RETIRE),
        (2000, Verdict.RETIRE),
        (2001, Verdict.KILL),
    ],
)
def test_memory_over_the_limit_retires_and_over_twice_the_limit_kills(rss_kib, verdict):
    assert Recycling(max_memory_kib=1000).judge_memory(rss_kib, has_run=True) is verdict


def test_process_that_ran_nothing_is_left_alone_since_its_successor_would_be_as_large():
    assert Recycling(max_memory_kib=1).judge_memory(10**6, has_run=False) is Verdict.KEEP


def test_without_a_limit_no_memory_is_too_much():
    assert Recycling().judge_memory(10**9, has_run=True) is Verdict.KEEP


def test_own_memory_can_be_read_and_a_process_that_is_gone_has_none():
    assert (resident_kib(os.getpid()) or 0) > 1000
    assert resident_kib(2**22 + 1) is None


def test_first_death_is_replaced_at_once_and_quick_deaths_ever_later():
    pacing = RestartPacing()

    assert [pacing.delay_s(0, lived_s=0.1) for _ in range(5)] == [0.0, 0.1, 0.2, 0.4, 0.8]
    assert max(pacing.delay_s(0, lived_s=0.1) for _ in range(30)) == RestartPacing.LONGEST_S


def test_slots_are_paced_apart():
    pacing = RestartPacing()
    for _ in range(5):
        pacing.delay_s(0, lived_s=0.1)

    assert pacing.delay_s(1, lived_s=0.1) == 0.0


def test_long_life_forgives_early_deaths():
    pacing = RestartPacing()
    for _ in range(5):
        pacing.delay_s(0, lived_s=0.1)
    pacing.delay_s(0, lived_s=60.0)

    assert pacing.delay_s(0, lived_s=0.1) == 0.0
