"""The operator is killed while it scales workers down: by the same log, and the same auditor.

`windlass up` is the operator's own reconciling on this machine: it starts and cordons real workers.
It is killed (SIGKILL) while a cordon of its is out, and another is started. The workers of the dead
one stay, as pods would: those it had cordoned must take work again once the cordon has run out.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import psutil

from chaos_audit import Verdict, audit
from chaos_checks import Terms
from chaos_fleet import HERE, PLENTY, RECORDS
from chaos_log import Counted, Fault, Left, Logbook, Note, now, read
from chaos_rest import at_rest
from chaos_sender import PATIENT, Sender, Watcher
from chaos_workload import Shape, workload
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.control_plane import heartbeats
from windlass.control_plane.queue_record import write_record
from windlass.redis_store.resp import packed

LEASE_S = 2.0
_RESOURCES = """\
    apiVersion: windlass.dev/v1alpha1
    kind: TaskQueue
    metadata: {name: main}
    spec: {drainTarget: 1s, maxDeliveries: 500}
    ---
    apiVersion: windlass.dev/v1alpha1
    kind: WorkerPool
    metadata: {name: main}
    spec:
      app: chaos_tasks
      image: registry.example/chaos:1.0
      queues: [{name: main}]
      concurrency: 1
      autoscaling:
        minReplicas: 1
        maxReplicas: 4
        scaleDown: {window: 1s, maxDisruptionPercent: 100}
"""
_MIX = {"plain": 5.0, "link": 3.0, "nap": 4.0, "retry": 1.0, "chain": 1.0}
#: A cordon that nobody renews is over by then.
_CORDON_S = 75.0


class OperatorRun:
    """A workload in waves, and an operator that is killed at its ebb."""

    def __init__(
        self, seed: int, kills: int, folder: Path, say: Callable[[str], object] = print
    ) -> None:
        self._seed, self._kills, self._folder, self._say = seed, kills, folder, say
        (folder / "queue.yaml").write_text(textwrap.dedent(_RESOURCES))
        self.log_path = folder / "log.jsonl"
        self.log_path.unlink(missing_ok=True)
        self.book = Logbook(self.log_path)
        self.server = RedisServer(config={"appendonly": "yes", "appendfsync": "always"}).start()
        self.app = Windlass(
            "chaos", broker=self.server.url, backend=self.server.url, set_as_current=False,
            task_publish_retry_policy=PATIENT,
        )  # fmt: skip
        self.watcher = Watcher(self.app, self.book)
        self.sender = Sender(self.app, self.book, self.watcher, most=1000)
        self._up: subprocess.Popen[bytes] | None = None

    def go(self) -> Verdict:
        """Run to the end; returns what the auditor says."""
        try:
            write_record(self.app.broker, "main", **RECORDS["main"])
            self.watcher.start()
            self._start_operator()
            for wave in range(self._kills):
                self._wave(wave)
                self._kill_operator()
            self._finish()
        finally:
            self.close()
        return audit(read(self.log_path), Terms(lease_s=LEASE_S, faults=("operator_kill",)))

    def _wave(self, wave: int) -> None:
        """Send so much that the pool grows, and wait until it has."""
        shape = Shape(calls=200, lease_s=LEASE_S, bursts=0, mix=_MIX)
        calls = [c for c in workload(self._seed + wave, shape) if c.what != "long"]
        first = wave * shape.calls
        numbered = [_renumbered(call, first) for call in calls]
        sending = threading.Thread(target=self.sender.send_all, args=(numbered, 1.0), daemon=True)
        sending.start()
        sending.join(60)
        eventually(lambda: len(self._workers()) >= 3, 90, "the pool has grown")

    def _kill_operator(self) -> None:
        """Kill it while a worker is cordoned, and start another."""
        eventually(self._cordons, 120, "a worker is cordoned")
        at, count = now(), self._cordons()
        assert self._up is not None
        self._up.kill()
        self._up.wait()
        cordoned = self._cordons()
        self._say(f"operator killed while {count} cordons were out ({cordoned} after it)")
        self.book.write(
            Fault(
                at=at,
                what="operator_kill",
                target="operator",
                until=now(),
                evidence=f"exit status {self._up.returncode}, {cordoned} workers stay cordoned",
            )
        )
        self._start_operator()

    def _finish(self) -> None:
        eventually(lambda: not self.watcher.waiting, 120, "all is done")
        self._call_the_roll()
        eventually(lambda: not at_rest(self.app.broker)[0], 60, "the broker is at rest")
        sizes, counters = at_rest(self.app.broker)
        self.book.write(Left(at=now(), sizes=sizes))
        self.book.write(*(Counted(at=now(), queue=q, name=k, value=v) for q, k, v in counters))
        ids = {line.id for line in read(self.log_path) if getattr(line, "id", "")}
        self.watcher.look(sorted(ids))

    def _call_the_roll(self) -> None:
        """Every worker that is there, those of dead operators too, must take work."""
        before = {w.worker_id: w.tasks_done for w in self._workers()}
        idle, deadline = set(before), monotonic() + _CORDON_S
        while idle and monotonic() < deadline:
            self.sender.send_roll_call(("main",))
            time.sleep(0.5)
            workers = self._workers()
            idle &= {w.worker_id for w in workers}  # the new operator may let some go
            idle -= {w.worker_id for w in workers if w.tasks_done > before.get(w.worker_id, 0)}
        self._say(f"roll call: {len(before)} workers, {len(idle)} took no work")
        for worker_id in idle:
            self.book.write(Note(at=now(), name=f"idle: {worker_id}", value=_CORDON_S))

    def _workers(self) -> list[heartbeats.WorkerStatus]:
        return heartbeats.read_workers(self.app.broker)

    def _cordons(self) -> int:
        broker = self.app.broker
        (count,) = broker.links.call([packed("ZCARD", broker.keys.cordon)])
        return int(count)

    def _start_operator(self) -> None:
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
            "WINDLASS_BROKER_URL": self.server.url,
            "WINDLASS_RESULT_BACKEND": self.server.url,
            "WINDLASS_WORKER_LEASE_S": str(LEASE_S),
            "WINDLASS_MAX_DELIVERIES": str(PLENTY),
            "CHAOS_LOG": str(self.log_path),
            "CHAOS_WORKER": "up",
        }
        with (self._folder / "up.log").open("ab") as output:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "windlass", "up", "queue.yaml", "--plain"],
                cwd=self._folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip

    def close(self) -> None:
        """End all that this run has started."""
        self.watcher.close()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("CHAOS_LOG") == str(self.log_path):
                    process.kill()
        if self._up is not None:
            self._up.wait()
        self.app.close()
        self.server.stop()
        self.book.close()


def _renumbered(call: object, first: int) -> object:
    from dataclasses import replace

    return replace(call, n=call.n + first, id=f"{call.id}-{first}")  # type: ignore[type-var,attr-defined]
