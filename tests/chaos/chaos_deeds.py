"""Carries out the faults of a plan, and notes each with how it is known to have happened."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from time import monotonic

import psutil

from chaos_faults import Deed
from chaos_fleet import Fleet, slots_of, tree_of
from chaos_link import Links
from chaos_log import Fault, Logbook, now
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import cordon, heartbeats
from windlass.errors import BrokerError

#: How long a worker may take to end after SIGTERM before it is killed, as a pod's grace period.
GRACE_S = 8.0
_SOON = 30.0
_ANSWERS = 4


class Deeds:
    """What can be done to a run.

    Args:
        server: The broker.
        admin: An app whose link to the broker has no bad days.
    """

    def __init__(
        self, fleet: Fleet, links: Links, server: RedisServer, admin: Windlass, book: Logbook
    ) -> None:
        self._fleet = fleet
        self._links = links
        self._server = server
        self._admin = admin
        self._book = book
        self._never = threading.Event()

    def do(self, deed: Deed) -> bool:
        """Do it, wait until it is over, and note it if it happened. Returns whether it did."""
        work: Callable[[Deed], tuple[str, str] | None] = getattr(self, f"_{deed.what}")
        at = now()
        try:
            seen = work(deed)
        except psutil.NoSuchProcess:
            return False  # it ended by itself at that moment
        if seen is None:
            return False
        target, evidence = seen
        self._book.write(
            Fault(at=at, what=deed.what, target=target, until=now(), evidence=evidence)
        )
        return True

    def _wait(self, seconds: float) -> None:
        self._never.wait(seconds)

    def _kill(self, deed: Deed, *, whole: bool) -> tuple[str, str]:
        name, head = self._fleet.member(deed.worker)
        rest = tree_of(head)[1:]
        head.kill()
        if whole:
            for each in rest:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
        eventually(lambda: name in self._fleet.ends, _SOON, "it has ended")
        return name, f"exit status {self._fleet.ends[name]}"

    def _kill_worker(self, deed: Deed) -> tuple[str, str]:
        return self._kill(deed, whole=True)

    def _kill_head(self, deed: Deed) -> tuple[str, str]:
        return self._kill(deed, whole=False)

    def _kill_slot(self, deed: Deed) -> tuple[str, str] | None:
        name, head = self._fleet.member(deed.worker)
        slots = slots_of(head)
        if not slots:
            return None
        victim = slots[deed.worker % len(slots)]
        victim.kill()
        eventually(lambda: not _lives(victim), _SOON, "the slot ends")
        return name, f"process {victim.pid} is gone"

    def _stop(self, name: str, processes: list[psutil.Process], seconds: float) -> tuple[str, str]:
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()
        eventually(lambda: all(_is_stopped(each) for each in processes), _SOON, "all are stopped")
        self._wait(seconds)
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()
        return name, f"{len(processes)} processes were stopped for {seconds:.1f} s"

    def _freeze(self, deed: Deed) -> tuple[str, str]:
        name, head = self._fleet.member(deed.worker)
        return self._stop(name, tree_of(head), deed.seconds)

    def _freeze_head(self, deed: Deed) -> tuple[str, str]:
        name, head = self._fleet.member(deed.worker)
        return self._stop(name, [head], deed.seconds)

    def _drain(self, deed: Deed) -> tuple[str, str]:
        name, head = self._fleet.member(deed.worker)
        head.send_signal(signal.SIGTERM)
        deadline, killed = monotonic() + GRACE_S, False
        while self._fleet.name(deed.worker) == name:
            if monotonic() > deadline and not killed:
                killed = True
                os.kill(head.pid, signal.SIGKILL)
            self._wait(0.02)
        return name, "killed after its grace" if killed else "ended by itself"

    def _redis_kill(self, deed: Deed) -> tuple[str, str]:
        before = self._run_id()
        self._server.restart()
        after = eventually(self._run_id, _SOON, "Redis answers")
        assert after != before
        return "*", f"run id {before[:8]} became {after[:8]}"

    def _run_id(self) -> str:
        client = self._server.client()
        with contextlib.closing(client):
            self._server._clients.remove(client)
            return str(client.info("server")["run_id"])

    def _redis_pause(self, deed: Deed) -> tuple[str, str]:
        self._server.pause()
        stopped = psutil.Process(self._server.pid)
        eventually(lambda: _is_stopped(stopped), _SOON, "Redis is stopped")
        self._wait(deed.seconds)
        self._server.resume()
        return "*", f"stopped for {deed.seconds:.1f} s"

    def _cut(self, deed: Deed) -> tuple[str, str] | None:
        cuts = self._links.cut()
        return ("*", f"{cuts} connections were reset") if cuts else None

    def _lost_reply(self, deed: Deed) -> tuple[str, str] | None:
        """Answers get lost on the way to a worker, and on the way to the senders."""
        name, places = self._fleet.name(deed.worker), (deed.worker, len(self._fleet))
        for place in places:
            self._links.swallow(place, _ANSWERS)
        self._wait(deed.seconds)
        left = [self._links[place].unanswered for place in places]
        for place in places:
            self._links.swallow(place, 0)
        lost = _ANSWERS * len(places) - sum(left)
        return (name, f"{lost} answers were lost") if lost else None

    def _slow(self, deed: Deed) -> tuple[str, str] | None:
        name, link = self._fleet.name(deed.worker), self._links[deed.worker]
        before = link.delayed
        self._links.slow(deed.worker, deed.amount)
        self._wait(deed.seconds)
        self._links.slow(deed.worker, 0.0)
        late = link.delayed - before
        return (name, f"{late} bytes came late") if late else None

    def _partition(self, deed: Deed) -> tuple[str, str] | None:
        name, link = self._fleet.name(deed.worker), self._links[deed.worker]
        before = link.held
        self._links.partition(deed.worker, is_open=False)
        self._wait(deed.seconds)
        self._links.partition(deed.worker, is_open=True)
        self._links.cut(deed.worker)
        held = link.held - before
        return (name, f"{held} bytes were held back for {deed.seconds:.1f} s") if held else None

    def _clock(self, deed: Deed) -> tuple[str, str]:
        self._fleet.set_clock(deed.amount)
        return "*", f"the wall clock of workers was set {deed.amount / 3600:+.0f} h off"

    def _cordon(self, deed: Deed) -> tuple[str, str] | None:
        """Cordon for a while; who did it is never heard of again."""
        name, head = self._fleet.member(deed.worker)
        pid = head.pid
        try:
            worker_id = eventually(lambda: self._worker_id(pid), _SOON, "its heartbeat comes")
            cordon.cordon(self._admin.broker, worker_id, round(deed.seconds * 1000))
        except (BrokerError, AssertionError):
            return None
        with contextlib.suppress(AssertionError):
            eventually(lambda: self._is_cordoned(pid), deed.seconds)
            return name, f"its heartbeat says so; the cordon ran out after {deed.seconds:.1f} s"
        return None

    def _worker_id(self, pid: int) -> str:
        return next((w.worker_id for w in self._workers() if w.pid == pid), "")

    def _is_cordoned(self, pid: int) -> bool:
        return any(w.pid == pid and w.cordoned_since_ms for w in self._workers())

    def _workers(self) -> list[heartbeats.WorkerStatus]:
        try:
            return heartbeats.read_workers(self._admin.broker)
        except BrokerError:
            return []


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_stopped(process: psutil.Process) -> bool:
    try:
        return process.status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
