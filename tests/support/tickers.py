"""Tickers as processes, and a consumer that knows what it has ended: what safety is tested with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from schedule_builders import make_entry
from windlass.beat.entry import CatchUp, fire_id
from windlass.beat.timing import Every
from windlass.brokers.base import Done, FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import put_schedule, read_schedule
from windlass.errors import BrokerError
from windlass.redis_store.resp import packed

PROGRAM = Path(__file__).with_name("ticker_process.py")
KEYSPACE = "safety"
LEAD_S = 0.5
EVERY_MS = 100


class Tickers:
    """Processes, by the name they have among tickers."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._count = 0

    def start(self) -> str:
        """Start one more; returns its name."""
        self._count += 1
        name = f"t{self._count}"
        command = [sys.executable, str(PROGRAM), self._url, KEYSPACE, name, str(LEAD_S)]
        self._processes[name] = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        return name

    def signal(self, name: str, signum: signal.Signals) -> None:
        """Send it a signal; after SIGKILL it is gone."""
        process = self._processes[name]
        os.kill(process.pid, signum)
        if signum == signal.SIGKILL:
            process.wait()
            del self._processes[name]

    def end(self) -> None:
        """End them all."""
        for process in self._processes.values():
            process.kill()
            process.wait()


class Consumer:
    """Runs what schedules send, and knows the ids that it has ended for certain.

    The answer to an end may be lost although the broker has kept the end: it was killed between
    the two. Whether it has is seen in the message: it is gone (nobody else ends messages here), or
    it comes again.

    Args:
        url: Of the broker.
        before: The consumer whose work this one goes on with.

    Attributes:
        done: Ids whose end the broker has confirmed, by its answer or afterwards, in order.
        doubled: Ids that came again after that: fired twice.
    """

    def __init__(self, url: str, before: Consumer | None = None) -> None:
        self.broker = RedisBroker(url, keyspace=KEYSPACE)
        self.done: list[str] = []
        self.doubled: list[str] = []
        self._ended: set[str] = set() if before is None else set(before.done)
        self._unanswered: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Consumer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.broker.close()

    def _run(self) -> None:
        request = FetchRequest(worker_id="c", queues=("q",), want=100, lease_ms=1000)
        while not self._stop.wait(0.02):
            try:
                self._turn(request)
            except BrokerError:
                self.broker.links.close()

    def _turn(self, request: FetchRequest) -> None:
        self._look_for_unanswered()
        fetched = self.broker.exchange([], request)[1]
        assert fetched is not None
        self.doubled += [each.id for each in fetched.deliveries if each.id in self._ended]
        ends = [Done(id=each.id, queue="q", token=each.token) for each in fetched.deliveries]
        if ends:
            self._unanswered = [end.id for end in ends]
            stale = self.broker.exchange(ends, None)[0]
            self._unanswered = []
            self._note_ended([end.id for end in ends if end.id not in stale])
        if fetched.expired_leases:
            self.broker.reap("q", "c")

    def _look_for_unanswered(self) -> None:
        """Note the ends that were kept of the turn that failed; the others' messages come again."""
        if not self._unanswered:
            return
        reads = packed("HMGET", self.broker.keys.messages, *self._unanswered)
        raws = self.broker.links.call([reads])[0]
        ids, self._unanswered = self._unanswered, []
        self._note_ended([id_ for id_, raw in zip(ids, raws, strict=True) if raw is None])

    def _note_ended(self, ids: list[str]) -> None:
        self.done += ids
        self._ended.update(ids)


def declare(broker: RedisBroker, count: int = 5) -> list[str]:
    """Declare schedules that are due every 100 ms, of which none may be left out."""
    names = [f"s{n}" for n in range(count)]
    for name in names:
        put_schedule(broker, make_entry(name, Every(EVERY_MS), catch_up=CatchUp.ALL))
    return names


def leader(broker: RedisBroker) -> str:
    """Name of the ticker that has the lead, '' where there is none."""
    holder = broker.links.call([packed("HGET", broker.keys.lead, "holder")])[0]
    return holder.decode() if holder else ""


def wanted_ids(broker: RedisBroker, name: str) -> list[str]:
    """Ids of all nominal times of a schedule that it says it has fired: without a gap."""
    schedule = read_schedule(broker, name)
    times = range(schedule.since_ms + EVERY_MS, schedule.last_ms + 1, EVERY_MS)
    assert schedule.missed == 0
    return [fire_id(schedule.uid, nominal_ms) for nominal_ms in times]
