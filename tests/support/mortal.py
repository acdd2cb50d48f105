"""A client and workers that die at a chosen trip to the broker: before it, or after it was done.

The worker is the engine's executor and settler in one thread: what it knows dies with it, as in a
process that is killed; the broker and the tasks are real.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from broker_state import LEASE_MS, NOW, at
from recording_broker import make_executor
from windlass import Windlass
from windlass.brokers.base import FetchRequest, Settlement
from windlass.brokers.redis import RedisBroker
from windlass.errors import OperationalError
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.executor import RunRequest
from windlass.runtime.hand import Facts, Reader
from windlass.runtime.settle import Settler


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Fate:
    """Counts trips to the broker, and ends one of them.

    Args:
        trip: Which one, from 0.
        is_after: The broker still carries it out.
        error: What ends it.
    """

    def __init__(self, trip: int, *, is_after: bool, error: Callable[[], BaseException]) -> None:
        self.trip = trip
        self.is_after = is_after
        self.error = error
        self.trips = 0

    @property
    def was_met(self) -> bool:
        """Whether the chosen trip was begun."""
        return self.trips > self.trip

    def over(self, call: Callable[[], Any]) -> Any:
        """Make one trip."""
        number, self.trips = self.trips, self.trips + 1
        if number == self.trip and not self.is_after:
            raise self.error()
        reply = call()
        if number == self.trip:
            raise self.error()
        return reply


def ridden_by(broker: RedisBroker, fate: Fate) -> RedisBroker:
    """Let every trip of a broker go by a fate."""
    links: Any = broker.links
    try_call = links.try_call
    links.try_call = lambda *args, **kwargs: fate.over(lambda: try_call(*args, **kwargs))
    return broker


class Worker:
    """Fetches, runs and settles until nothing is left.

    Args:
        app: Its tasks.
        broker: Where its messages are.
        queues: That it serves.
    """

    def __init__(self, app: Windlass, broker: RedisBroker, queues: Sequence[str]) -> None:
        self._broker = broker
        self._request = FetchRequest(
            worker_id="w", queues=tuple(queues), want=3, lease_ms=LEASE_MS, strict=True
        )
        self._executor = make_executor(app)
        self._reader = Reader(lambda _, name: Facts(name), self._executor)
        self._settler = Settler(
            "w", ttl_ms=0, stores_results=True, serializer="json", clock=BrokerClock()
        )

    def run(self) -> None:
        """Work until there is nothing to do; a lost connection is tried again."""
        settlements: list[Settlement] = []
        has_work = True
        while has_work:
            fetched = self._exchange(settlements)
            for queue in fetched.expired_leases:
                self._again(partial(self._broker.reap, queue, "w"))
            # What was settled may have released more than the fetch beside it has seen.
            has_work = bool(settlements or fetched.deliveries or fetched.expired_leases)
            settlements = [self._run(delivery) for delivery in fetched.deliveries]

    def _exchange(self, settlements: Sequence[Settlement]) -> Any:
        return self._again(lambda: self._broker.exchange(settlements, self._request)[1])

    def _again(self, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except OperationalError:
                continue

    def _run(self, delivery: Any) -> Settlement:
        entry = self._reader.entry(delivery, 0.0)
        request = RunRequest(
            id=entry.id, queue=entry.queue, token=entry.token, raw=entry.raw,
            clock_offset_ms=NOW - time.monotonic() * 1000,
        )  # fmt: skip
        return self._settler.settle(entry, self._executor.execute(request), 1.0)


def live_on(app: Windlass, url: str, fate: Fate, queues: Sequence[str]) -> None:
    """Have a worker work by a fate; when it is killed another one takes over after its leases."""
    broker = ridden_by(new_broker(url), fate)
    with suppress(Killed):
        Worker(app, broker, queues).run()
    broker.close()
    successor = new_broker(url, NOW + LEASE_MS + 1)
    # What the dead one had fetched is still leased, or was never leased: its reply was lost.
    Worker(app, successor, queues).run()
    successor.close()


def new_broker(url: str, now_ms: int = NOW) -> RedisBroker:
    """A broker of a process of its own."""
    broker = RedisBroker(url, keyspace="mortal")
    at(broker, now_ms)
    return broker
