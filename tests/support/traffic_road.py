"""A worker's traffic with both ends in the test's hands: what it sends, and what comes back."""

from __future__ import annotations

from typing import Any

from windlass.brokers.base import Delivery, Done, Fetched, FetchRequest, Settlement
from windlass.runtime.exchange import Answer, Job
from windlass.runtime.state import WorkerState
from windlass.runtime.traffic import Terms, Traffic


class Exchange:
    """Keeps the jobs that it is given."""

    def __init__(self) -> None:
        self.is_busy = False
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        """Remember a job; it is under way until it is answered."""
        self.is_busy = True
        self.jobs.append(job)


class Waker:
    """Keeps the waits that it is asked for."""

    def __init__(self) -> None:
        self.is_armed = False
        self.orders: list[tuple[FetchRequest, float]] = []
        self.interrupts = 0

    def interrupt(self) -> None:
        """Count it; the test ends the wait."""
        self.interrupts += 1

    def arm(self, request: FetchRequest, timeout_s: float) -> None:
        """Remember a wait."""
        self.is_armed = True
        self.orders.append((request, timeout_s))


class Road:
    """The traffic of a worker of the queues a and b, with its lease at 15 s."""

    def __init__(self) -> None:
        self.exchange, self.waker, self.state = Exchange(), Waker(), WorkerState()
        terms = Terms(worker_id="w", queues=("a", "b"), lease_s=15.0)
        self.dropped: list[Settlement] = []
        exchange: Any = self.exchange
        waker: Any = self.waker
        self.traffic = Traffic(terms, exchange, waker, self.state, on_dropped=self.dropped.append)

    def advance(self, now: float, want: int = 0, is_due: bool = True) -> None:
        """Let go what is to go."""
        self.traffic.advance(want, is_due=is_due, now=now)

    def answer(self, at: float, **fields: Any) -> bool:
        """Answer the job that is under way."""
        return self.traffic.on_answer(Answer(job=self.exchange.jobs[-1], at=at, **fields))


def done(n: int = 1) -> Done:
    """The end of a message."""
    return Done(id=f"m{n}", queue="a", token=1)


def fetched(*deliveries: Delivery, **fields: Any) -> Fetched:
    """What a fetch brings."""
    return Fetched(now_ms=1_000_000, deliveries=list(deliveries), **fields)
