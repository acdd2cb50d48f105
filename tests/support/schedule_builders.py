"""Builders of schedules, and ticks as short lines; a test names only what it is about."""

from __future__ import annotations

from typing import Any

from windlass.beat.entry import Entry
from windlass.beat.entry import make_entry as made
from windlass.beat.ticker import Ticker
from windlass.beat.timing import Every
from windlass.brokers.base import Delivery, Done, FetchRequest

SECOND = 1000
MINUTE = 60 * SECOND


def make_entry(name: str = "s", timing: Any = None, queue: str = "q", **rest: Any) -> Entry:
    """Build an entry that is due every ten seconds, unless told otherwise."""
    return made(name, timing or Every(10 * SECOND), "tests.noop", queue=queue, **rest)


def make_ticker(broker: Any, holder: str = "ticker", **options: Any) -> Ticker:
    """Build a ticker with a name; it is stepped by hand."""
    return Ticker(broker, holder=holder, **options)


def tick(ticker: Ticker) -> dict[str, int]:
    """Step a ticker until it has fired what is due; returns how fires were answered.

    The broker's clock stands still here, and the ticker's goes on: what is EARLY stays so.
    """
    answers: dict[str, int] = {}
    while step := {k: n for k, n in ticker.run_once().answers.items() if k != "EARLY"}:
        for what, count in step.items():
            answers[what] = answers.get(what, 0) + count
    return answers


def run_all(broker: Any, queue: str = "q", state: str = "SUCCESS", took_ms: float = 5) -> list[str]:
    """Lease and end all that is ready; returns the ids in order."""
    deliveries = take(broker, queue)
    broker.exchange([ended(each, state, took_ms) for each in deliveries], None)
    return [each.id for each in deliveries]


def take(broker: Any, queue: str = "q") -> list[Delivery]:
    """Lease all that is ready."""
    request = FetchRequest(worker_id="w", queues=(queue,), want=500, lease_ms=10 * MINUTE)
    deliveries: list[Delivery] = broker.exchange([], request)[1].deliveries
    return deliveries


def ended(delivery: Delivery, state: str = "SUCCESS", took_ms: float = 5) -> Done:
    """Build the end of a delivery."""
    return Done(
        id=delivery.id,
        queue=delivery.queue,
        token=delivery.token,
        state=state,
        duration_ms=took_ms,
    )
