"""One chaos run: servers, workers, a workload and a storm; then everything is read and audited."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import chaos_faults
import chaos_workload
from chaos_audit import Verdict, audit
from chaos_checks import Terms
from chaos_deeds import Deeds
from chaos_fleet import POSTS, RECORDS, Fleet, Post
from chaos_link import Links
from chaos_log import Counted, Dead, Fault, Left, Logbook, Note, now, read
from chaos_rest import at_rest, dead_letters
from chaos_sender import PATIENT, Sender, Watcher
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats
from windlass.control_plane.queue_record import write_record
from windlass.errors import BrokerError

#: A thread that asks for the time so often...
_PULSE_S = 0.1
#: ...and is late by so much shows that the machine stood still, which explains a lost lease.
_STALL_S = 0.7
#: A fault that did not come to anything is tried so often.
_TRIES = 4
#: A worker that takes no work for so long at the end, with work there, takes none.
_ROLL_CALL_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to be.

    Attributes:
        seed: Of workload and storm.
        tasks: Calls; with what follows from them there are about 1.7 times as many messages.
        seconds: Over which they are sent, at least.
        faults: Kinds, of `chaos_faults.ALL`.
        rounds: Rounds of the storm at least; it goes on while calls are being sent.
        pause_s: Between two faults, on average.
        fsync: Redis' appendfsync, or "no" for no append-only file.
        settle_s: How long the end may take.
    """

    seed: int
    tasks: int
    seconds: float
    lease_s: float = 2.0
    faults: tuple[str, ...] = chaos_faults.ALL
    rounds: int = 1
    pause_s: float = 0.5
    fsync: str = "always"
    posts: Sequence[Post] = POSTS
    most: int = 3000
    settle_s: float = 60.0
    mix: dict[str, float] = field(default_factory=lambda: dict(chaos_workload.MIX))
    bursts: int = 4

    @property
    def terms(self) -> Terms:
        return Terms(lease_s=self.lease_s, faults=self.faults)


class ChaosRun:
    """Holds the parts together; `go` does all of it."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], object] = print) -> None:
        self.plan = plan
        self.say = say
        self._folder = folder
        self._started = monotonic()
        self.log_path = folder / "log.jsonl"
        self.log_path.unlink(missing_ok=True)
        self.book = Logbook(self.log_path)
        config = {"appendonly": "no"}
        if plan.fsync != "no":
            config = {"appendonly": "yes", "appendfsync": plan.fsync}
        self.server = RedisServer(config=config).start()
        self.links = Links(lambda: self.server.port, len(plan.posts) + 1)
        env = {"CHAOS_LOG": str(self.log_path)}
        self.fleet = Fleet(
            folder, plan.posts, lambda place: self.links[place].url, env, plan.lease_s
        )
        self.admin = self._app(self.server.url)
        self.watcher = Watcher(self._app(self.server.url), self.book)
        sending = self._app(self.links[len(plan.posts)].url)
        self.sender = Sender(sending, self.book, self.watcher, plan.most)
        self.deeds = Deeds(self.fleet, self.links, self.server, self.admin, self.book)
        self._over = threading.Event()
        self._apps = [self.admin, sending]

    def _app(self, url: str) -> Windlass:
        return Windlass(
            "chaos", broker=url, backend=url, set_as_current=False,
            task_publish_retry_policy=PATIENT, broker_transport_options={"socket_timeout": 5},
        )  # fmt: skip

    # -- the run

    def go(self) -> Verdict:
        """Run it to its end; returns what the auditor says."""
        pulse = threading.Thread(target=self._pulse, name="pulse", daemon=True)
        try:
            for queue, record in RECORDS.items():
                write_record(self.admin.broker, queue, **record)
            self.fleet.start()
            self._wait_for_workers()
            pulse.start()
            self.watcher.start()
            self._storm()
            self._settle()
            self._read_the_end()
        finally:
            self._over.set()
            self.close()
        return audit(read(self.log_path), self.plan.terms)

    def close(self) -> None:
        """End every process and thread."""
        self.watcher.close()
        self.fleet.close()
        self.links.close()
        for app in self._apps:
            app.close()
        self.server.stop()
        self.book.close()

    def _all_up(self) -> bool:
        return len(heartbeats.read_workers(self.admin.broker)) == len(self.fleet)

    def _wait_for_workers(self) -> None:
        try:
            eventually(self._all_up, 60, "all workers are up")
        except AssertionError as error:
            raise AssertionError(self.fleet.logs()[-3000:]) from error

    def _pulse(self) -> None:
        """Note when the whole machine stood still: no worker's fault."""
        before = monotonic()
        while not self._over.wait(_PULSE_S):
            after = monotonic()
            if after - before > _PULSE_S + _STALL_S:
                text = f"nothing ran for {after - before:.1f} s"
                self.book.write(
                    Fault(at=before, what="stall", target="*", until=after, evidence=text)
                )
            before = after

    def _storm(self) -> None:
        plan = self.plan
        shape = chaos_workload.Shape(
            calls=plan.tasks, lease_s=plan.lease_s, bursts=plan.bursts, mix=plan.mix
        )
        calls = chaos_workload.workload(plan.seed, shape)
        self.book.write(Note(at=now(), name="planned", value=len(calls)))
        sending = threading.Thread(
            target=self.sender.send_all, args=(calls, plan.seconds), name="sender", daemon=True
        )
        sending.start()
        # At first nothing happens, for longer than the long tasks run: leases are kept by renewal.
        self._over.wait(plan.lease_s * 1.7 + 0.5)
        round_ = 0
        while plan.faults and (round_ < plan.rounds or sending.is_alive()):
            self._round(round_, sending)
            round_ += 1
        self.fleet.set_clock(0.0)
        eventually(lambda: not sending.is_alive(), max(60, plan.seconds), "all calls are sent")

    def _round(self, round_: int, sending: threading.Thread) -> None:
        plan = self.plan
        deeds = chaos_faults.storm(
            plan.seed + round_, plan.faults, len(self.fleet), plan.lease_s, plan.pause_s
        )
        for deed in deeds:
            if round_ >= plan.rounds and not sending.is_alive():
                return
            for _ in range(_TRIES):
                if self.deeds.do(deed):
                    break
                self._over.wait(0.2)  # its worker had just ended, or had nothing to say
            self.progress(deed.what)
            self._over.wait(deed.pause_s)

    def progress(self, what: str) -> None:
        """Say where the run is."""
        passed = monotonic() - self._started
        self.say(
            f"{passed:7.1f} s  {what:<12} sent {self.sender.sent:>7,}  "
            f"waiting {self.watcher.waiting:>6,}"
        )

    # -- the end

    def _settle(self) -> None:
        """Wait until all has ended, then until every worker has shown that it takes work."""
        deadline = monotonic() + self.plan.settle_s
        self._wait_for_rest(deadline)
        self.progress("settled")
        self.book.write(Note(at=now(), name="settled_s", value=monotonic() - self._started))
        self._call_the_roll()
        self._wait_for_rest(max(deadline, monotonic() + 10))

    def _wait_for_rest(self, deadline: float) -> None:
        """Wait until the broker holds nothing and nothing runs; what is missing the auditor finds.

        Outcomes may be missing then: calls that are acknowledged at start have none where their
        worker was lost.
        """
        seen, busy, left = 0, 0, {}
        while monotonic() < deadline and seen < 3:
            try:
                busy = sum(worker.busy for worker in heartbeats.read_workers(self.admin.broker))
                left = at_rest(self.admin.broker)[0]
                seen = 0 if busy or left else seen + 1
            except BrokerError:
                seen = 0
            time.sleep(0.1)
        if seen < 3:
            self.say(f"no rest: {busy} run, and the broker holds {left}")

    def _call_the_roll(self) -> None:
        """Send work until each worker has done some: a cordon, or a fault, must not last."""
        workers = heartbeats.read_workers
        before = {w.worker_id: w.tasks_done for w in workers(self.admin.broker)}
        idle, deadline = set(before), monotonic() + _ROLL_CALL_S
        while idle and monotonic() < deadline:
            self.sender.send_roll_call()
            time.sleep(self.plan.lease_s / 3)
            there = workers(self.admin.broker)
            # One that was killed is shown until its heartbeat runs out.
            idle &= {worker.worker_id for worker in there}
            for worker in there:
                if worker.tasks_done > before.get(worker.worker_id, 0):
                    idle.discard(worker.worker_id)
        for worker_id in idle:
            self.book.write(Note(at=now(), name=f"idle: {worker_id}", value=_ROLL_CALL_S))

    def _read_the_end(self) -> None:
        """Read what the broker holds, and every outcome once more."""
        sizes, counters = at_rest(self.admin.broker)
        self.book.write(*(Dead(at=now(), **each) for each in dead_letters(self.admin.broker)))
        self.book.write(Left(at=now(), sizes=sizes))
        self.book.write(
            *(Counted(at=now(), queue=q, name=name, value=v) for q, name, v in counters)
        )
        ids: dict[str, None] = {}
        for line in read(self.log_path):
            if hasattr(line, "id") and line.id:
                ids[line.id] = None
        self.watcher.look(list(ids))
