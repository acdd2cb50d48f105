"""The process that forks slots: started before any thread, runs no task, so it never grows.

The supervisor asks over a socket, sending the slot's file descriptors along; the zygote answers
with the pid, and later with how the process ended. When the supervisor dies (end of file) the
zygote kills what it forked and goes; a slot goes as well when its own socket closes.

It has a session of its own, so Ctrl-C in a terminal reaches the supervisor alone, and every slot
has a process group of its own, so a kill takes along what the task has started.
Next in the walk: `windlass.runtime.slot_main`, what a forked slot does.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple

import msgspec


class SlotEnds(NamedTuple):
    """A slot's ends of its connection to the supervisor.

    Attributes:
        sock: Messages come in; its end says that the supervisor is gone.
        permits: Pipe, read end: a byte for each message that may begin.
        answers: Pipe, write end. (A pipe, since many small writes cost half of a socket's.)
    """

    sock: socket.socket
    permits: int
    answers: int

    def close(self) -> None:
        """Close them here; the processes that got them keep theirs."""
        self.sock.close()
        os.close(self.permits)
        os.close(self.answers)


#: What runs in a forked slot: (slot index, its ends).
SlotEntry = Callable[[int, SlotEnds], None]

_SPAWN, _KILL = 1, 2
_BORN, _ENDED = 1, 2
_ORDER = struct.Struct("!BIi")
_REPORT = struct.Struct("!BIIi")
#: Exit code of a slot that could not start; `EX_SOFTWARE` of sysexits.h.
START_FAILED = 70


class Born(msgspec.Struct, frozen=True):
    """A slot process exists."""

    slot: int
    pid: int


class Ended(msgspec.Struct, frozen=True):
    """A slot process is gone. `status` is a return code: negative for a signal."""

    slot: int
    pid: int
    status: int

    @property
    def reason(self) -> str:
        """How it ended, in the words that go into dead letters."""
        if self.status >= 0:
            return f"exit code {self.status}"
        try:
            name = signal.Signals(-self.status).name
        except ValueError:
            name = "unknown"
        return f"signal {-self.status} ({name})"


class ZygoteClient:
    """The supervisor's end: orders out, reports in. Never blocks on a report."""

    def __init__(self, sock: socket.socket, pid: int) -> None:
        self._sock = sock
        self.pid = pid
        self._inbox = bytearray()

    def fileno(self) -> int:
        """Readable when there are reports."""
        return self._sock.fileno()

    def spawn(self, slot: int, ends: SlotEnds) -> None:
        """Ask for a process that serves the slot; its ends are sent along."""
        fds = [ends.sock.fileno(), ends.permits, ends.answers]
        socket.send_fds(self._sock, [_ORDER.pack(_SPAWN, slot, 0)], fds)

    def kill(self, slot: int, signum: int) -> None:
        """Send a signal to the slot's process group; nothing happens when it is gone."""
        with contextlib.suppress(OSError):
            self._sock.sendall(_ORDER.pack(_KILL, slot, signum))

    def reports(self) -> list[Born | Ended]:
        """Read what there is.

        Raises:
            EOFError: The zygote is gone, and with it every slot.
        """
        try:
            chunk = self._sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except ConnectionError as error:
            raise EOFError from error
        if not chunk:
            raise EOFError
        self._inbox += chunk
        whole = len(self._inbox) // _REPORT.size * _REPORT.size
        found: list[Born | Ended] = []
        for kind, slot, pid, status in _REPORT.iter_unpack(bytes(self._inbox[:whole])):
            found.append(Born(slot, pid) if kind == _BORN else Ended(slot, pid, status))
        del self._inbox[:whole]
        return found

    def close(self) -> None:
        """Let the zygote kill what is left and end; wait for it."""
        self._sock.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def start_zygote(entry: SlotEntry) -> ZygoteClient:
    """Fork the zygote. Call it with the app imported and before any thread is started."""
    ours, theirs = socket.socketpair()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what exists now is shared by all: keep the collector from touching its pages
    pid = os.fork()
    if pid == 0:
        ours.close()
        _guarded(lambda: _Zygote(theirs, entry).serve())
    theirs.close()
    return ZygoteClient(ours, pid)


def _guarded(run: Callable[[], None]) -> None:
    """Run in a forked process and leave it for good: nothing of the parent's stack unwinds."""
    status = START_FAILED
    try:
        run()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001, RUF100 # the end of a process: report and go
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def ignore_signals(*signums: int) -> None:
    """Take signals without effect. Unlike SIG_IGN this is not inherited by programs it starts."""
    for signum in signums:
        signal.signal(signum, _do_nothing)


def _do_nothing(_signum: int, _frame: object) -> None:
    return


class _Zygote:
    def __init__(self, sock: socket.socket, entry: SlotEntry) -> None:
        self._sock = sock
        self._entry = entry
        self._slots: dict[int, int] = {}  # pid -> slot
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        os.setsid()
        ignore_signals(signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(self._wake_r, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if self._wake_r in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_r, 4096)
                self._reap()
            if self._sock.fileno() in ready and not self._obey():
                break
        for pid in self._slots:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _obey(self) -> bool:
        """Carry out one order; False when the supervisor is gone."""
        try:
            order, fds, _flags, _address = socket.recv_fds(self._sock, _ORDER.size, 3)
        except ConnectionError:
            return False
        if len(order) < _ORDER.size:
            return False
        kind, slot, signum = _ORDER.unpack(order)
        if kind == _SPAWN:
            self._spawn(slot, SlotEnds(socket.socket(fileno=fds[0]), fds[1], fds[2]))
        else:
            for pid, owner in self._slots.items():
                if owner == slot:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, signum)
        return True

    def _spawn(self, slot: int, ends: SlotEnds) -> None:
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            self._become_slot()
            _guarded(lambda: self._entry(slot, ends))
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)  # both sides do it: whoever comes first, a kill finds the group
        ends.close()
        self._slots[pid] = slot
        self._report(_BORN, slot, pid, 0)

    def _become_slot(self) -> None:
        signal.set_wakeup_fd(-1)
        self._sock.close()
        os.close(self._wake_r)
        os.close(self._wake_w)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        # TERM and INT stay without effect, as in the zygote: they may come from whoever stops the
        # whole group (systemd, a terminal), and it is the supervisor that decides about a slot.

    def _reap(self) -> None:
        while self._slots:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            slot = self._slots.pop(pid, None)
            if slot is not None:
                self._report(_ENDED, slot, pid, os.waitstatus_to_exitcode(status))

    def _report(self, kind: int, slot: int, pid: int, status: int) -> None:
        with contextlib.suppress(ConnectionError):
            self._sock.sendall(_REPORT.pack(kind, slot, pid, status))
