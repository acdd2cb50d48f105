"""Slots are forked by a process of their own, which goes when the supervisor does."""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket

import psutil
import pytest

from waiting import eventually
from windlass.runtime.zygote import Born, Ended, SlotEnds, start_zygote


def slot(index, ends):
    """Obey: 'x<code>' exits, 'k' kills itself, anything else is echoed."""
    sock = ends.sock
    while order := sock.recv(100):
        if order.startswith(b"x"):
            raise SystemExit(int(order[1:]))
        if order == b"k":
            os.kill(os.getpid(), signal.SIGKILL)
        if order == b"raise":
            raise RuntimeError("as told by a test")
        sock.sendall(order + b"%d" % index)


class Yard:
    def __init__(self):
        self.zygote = start_zygote(slot)
        self.reports = []
        self.socks = {}

    def spawn(self, index):
        ours, theirs = socket.socketpair()
        ends = SlotEnds(theirs, *os.pipe())
        self.zygote.spawn(index, ends)
        ends.close()
        self.socks[index] = ours
        return self.next_report(Born, index).pid

    def next_report(self, kind, index):
        def found():
            self.reports += self.zygote.reports()
            return [r for r in self.reports if isinstance(r, kind) and r.slot == index]

        report = eventually(found)[0]
        self.reports.remove(report)
        return report

    def close(self):
        for sock in self.socks.values():
            sock.close()
        with contextlib.suppress(OSError):
            self.zygote.close()


@pytest.fixture
def yard():
    yard = Yard()
    yield yard
    yard.close()
    gc.unfreeze()


def test_slot_runs_in_a_process_of_its_own(yard):
    pid = yard.spawn(3)
    yard.socks[3].sendall(b"hello")

    assert yard.socks[3].recv(100) == b"hello3"
    assert pid not in (os.getpid(), yard.zygote.pid)
    assert psutil.Process(pid).ppid() == yard.zygote.pid


@pytest.mark.parametrize(
    ("order", "reason"),
    [(b"x0", "exit code 0"), (b"x7", "exit code 7"), (b"k", "signal 9 (SIGKILL)")],
)
def test_end_is_reported_with_its_reason(yard, order, reason):
    pid = yard.spawn(1)
    yard.socks[1].sendall(order)
    ended = yard.next_report(Ended, 1)

    assert (ended.pid, ended.reason) == (pid, reason)


def test_exception_that_leaves_a_slot_ends_it_with_a_code_of_its_own(yard):
    yard.spawn(1)
    yard.socks[1].sendall(b"raise")

    assert yard.next_report(Ended, 1).reason == "exit code 70"


def test_kill_ends_one_slot_and_what_it_has_started(yard):
    yard.spawn(1)
    yard.spawn(2)
    yard.zygote.kill(1, signal.SIGKILL)

    assert yard.next_report(Ended, 1).reason == "signal 9 (SIGKILL)"
    yard.socks[2].sendall(b"still here")
    assert yard.socks[2].recv(100) == b"still here2"


def test_term_and_int_do_not_end_a_slot_but_kill_signals_of_choice_do(yard):
    pid = yard.spawn(1)
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    yard.socks[1].sendall(b"alive")
    assert yard.socks[1].recv(100) == b"alive1"
    os.kill(pid, signal.SIGUSR1)

    assert "SIGUSR1" in yard.next_report(Ended, 1).reason


def test_slot_is_in_a_session_away_from_the_terminal(yard):
    pid = yard.spawn(1)
    eventually(lambda: os.getpgid(pid) == pid)

    assert os.getsid(pid) != os.getsid(0)


def test_everything_ends_when_the_supervisor_closes(yard):
    pids = [yard.spawn(n) for n in range(3)]
    processes = [psutil.Process(pid) for pid in pids]
    yard.zygote.close()

    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []


def test_end_of_the_zygote_is_end_of_file(yard):
    os.kill(yard.zygote.pid, signal.SIGKILL)
    select.select([yard.zygote], [], [], 10)

    with pytest.raises(EOFError):
        yard.zygote.reports()


def test_no_report_is_no_wait(yard):
    assert yard.zygote.reports() == []
