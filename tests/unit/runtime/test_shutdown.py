"""TERM, INT, QUIT, HUP as a state machine."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from windlass.runtime.shutdown import SIGNALS, Shutdown, StopKind, StopStage


def test_term_drains_until_the_deadline_and_then_is_cold():
    shutdown = Shutdown(30.0)

    assert shutdown.on_signal(signal.SIGTERM, 100.0)
    assert shutdown.stage is StopStage.DRAINING
    assert not shutdown.on_time(129.9)
    assert shutdown.on_time(130.0)
    assert shutdown.stage is StopStage.COLD
    assert not shutdown.on_time(131.0)


def test_only_a_drain_waits_for_a_time():
    shutdown = Shutdown(30.0)
    assert shutdown.next_time() == float("inf")
    shutdown.on_signal(signal.SIGTERM, 100.0)
    assert shutdown.next_time() == 130.0
    shutdown.on_signal(signal.SIGQUIT, 101.0)

    assert shutdown.next_time() == float("inf")


def test_first_interrupt_drains_and_the_second_is_cold():
    shutdown = Shutdown(30.0)

    assert shutdown.on_signal(signal.SIGINT, 0.0)
    assert shutdown.stage is StopStage.DRAINING
    assert shutdown.on_signal(signal.SIGINT, 1.0)
    assert shutdown.stage is StopStage.COLD


def test_interrupt_during_a_drain_is_cold():
    shutdown = Shutdown(30.0)
    shutdown.on_signal(signal.SIGTERM, 0.0)

    assert shutdown.on_signal(signal.SIGINT, 1.0)
    assert shutdown.stage is StopStage.COLD


def test_second_term_neither_speeds_up_nor_prolongs():
    shutdown = Shutdown(30.0)
    shutdown.on_signal(signal.SIGTERM, 0.0)

    assert not shutdown.on_signal(signal.SIGTERM, 20.0)
    assert shutdown.deadline == 30.0


def test_hup_drains_and_asks_for_a_restart():
    shutdown = Shutdown(30.0)

    assert shutdown.on_signal(signal.SIGHUP, 0.0)
    assert shutdown.wants_restart


def test_hup_during_a_drain_restarts_nothing():
    shutdown = Shutdown(30.0)
    shutdown.on_signal(signal.SIGTERM, 0.0)
    shutdown.on_signal(signal.SIGHUP, 1.0)

    assert not shutdown.wants_restart


def test_quit_after_hup_still_ends_for_good():
    shutdown = Shutdown(30.0)
    shutdown.on_signal(signal.SIGHUP, 0.0)
    shutdown.on_signal(signal.SIGQUIT, 1.0)

    assert not shutdown.wants_restart


def test_signal_that_is_none_of_ours_changes_nothing():
    assert not Shutdown(30.0).on_signal(signal.SIGUSR1, 0.0)


@given(st.lists(st.sampled_from([*SIGNALS, *StopKind]), max_size=12))
def test_stage_never_goes_back(orders):
    shutdown, stages = Shutdown(5.0), [StopStage.RUNNING]
    for now, order in enumerate(orders):
        if isinstance(order, StopKind):
            shutdown.request(order, float(now))
        else:
            shutdown.on_signal(order, float(now))
        shutdown.on_time(float(now))
        stages.append(shutdown.stage)

    assert stages == sorted(stages)
