"""What a measured system has to offer: a worker command, and a client that sends.

A peer is described here (imported by the harness, light) and its application and client live in
modules of their own that only their processes import, so that no system pays for another.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

#: Environment that every application module reads.
URL_NAME = "BENCH_REDIS_URL"
RESULTS_NAME = "BENCH_RESULTS"  # "1": results are stored in the same Redis
TUNED_NAME = "BENCH_TUNED_RECOVERY"  # "1": set up so that a lost worker's tasks come back


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavour:
    """What kind of worker a scenario asks for.

    Attributes:
        sleeps: Tasks are 10 ms async sleeps, 100 at a time a process; else small tasks on the
            pool that a user gets by default.
        recovery: A lost worker's tasks have to come back.
        results: Outcomes are stored.
        limits: Its tasks have limits that all workers share.
        processes: Processes that run tasks.
    """

    sleeps: bool = False
    recovery: bool = False
    results: bool = False
    limits: bool = False
    processes: int = 2


class Client(Protocol):
    """Sends tasks; lives in a process of its own and keeps one warm connection."""

    def prepare(self, task: str, calls: Sequence[tuple[int, ...]]) -> None:
        """Called before the clock runs, with the calls that will be sent; most do nothing."""

    def send_each(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """Send call by call, each awaited before the next. Returns the ids."""

    def send_bulk(self, task: str, calls: Sequence[tuple[int, ...]]) -> list[str]:
        """Send them all by the fastest documented way. Returns the ids."""

    def send_later(
        self, task: str, calls: Sequence[tuple[int, ...]], delays_s: Sequence[float]
    ) -> None:
        """Send each with its own countdown, one by one."""

    def send_bulk_later(self, task: str, calls: Sequence[tuple[int, ...]], delay_s: float) -> None:
        """Send them all with one countdown."""

    def succeeded(self, ids: Sequence[str]) -> int:
        """Return how many of these have a stored success."""

    def run_workflow(self, kind: str, size: int) -> None:
        """Run a "chain" of additions or a "chord" of no-ops, and check its result."""

    def send_workflow(self, kind: str, size: int) -> None:
        """Build and send a "group" of additions, or a "chord" over them."""

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One system under measurement.

    Attributes:
        name: As in the tables.
        client: Module with `make_client()`.
        note: One line on how it is set up, for the report.
        scenarios: Names of the scenarios that it can take part in.
        drain_count: Tasks for a drain of some seconds, at its usual speed.
        send_count: Calls for an enqueue measurement, one by one.
        bulk_count: Calls for a bulk enqueue measurement.
    """

    name: str
    client: str
    note: str
    scenarios: frozenset[str] = field(default_factory=frozenset)
    drain_count: int = 2_000
    send_count: int = 1_500
    bulk_count: int = 3_000

    def worker_commands(self, flavour: Flavour) -> list[list[str]]:
        """Return the command of each worker to start, together `flavour.processes` processes."""
        raise RuntimeError(f"peer {self.name} has no worker")


def python(*arguments: str) -> list[str]:
    """Return a command that runs this interpreter."""
    return [sys.executable, *arguments]
