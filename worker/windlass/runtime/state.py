"""What a worker knows of itself, as numbers: counted by the supervisor, read by probes and metrics.

Written by one thread (the supervisor's), read by another (the probes'): every value is replaced or
added to as a whole, so a reader sees an old number or a new one and never half of one.
Next in the walk: `windlass.runtime.probes`, `windlass.metrics`.
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from windlass.stopping import StopFlag

#: Upper bounds of the run-time histogram, in seconds; one bucket more for everything above.
RUNTIME_BUCKETS_S = (
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0,
)  # fmt: skip


class TaskCounts(msgspec.Struct, kw_only=True, gc=False):
    """How the runs of one task from one queue ended, since the worker's start.

    Attributes:
        ended: By state: "succeeded", "failed", "retried", "revoked", "ignored", "handed_back",
            "dead_lettered", "parked", "crashed".
        runtime_s: Sum of the run times in seconds.
        buckets: Runs by run time, one count for each bound of RUNTIME_BUCKETS_S and one above.
    """

    ended: dict[str, int] = msgspec.field(default_factory=dict)
    runtime_s: float = 0.0
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(RUNTIME_BUCKETS_S) + 1))

    def note(self, state: str, duration_s: float) -> None:
        """Count one run that took so long."""
        self.ended[state] = self.ended.get(state, 0) + 1
        self.runtime_s += duration_s
        self.buckets[bisect_left(RUNTIME_BUCKETS_S, duration_s)] += 1

    def note_unrun(self, state: str) -> None:
        """Count a message that ended without a run (expired, parked, revoked in time)."""
        self.ended[state] = self.ended.get(state, 0) + 1


class WorkerState(msgspec.Struct, kw_only=True):
    """One worker now. Stamps are `time.monotonic()` seconds, totals count from the start.

    Attributes:
        loop_at: Last turn of the supervisor's loop: what liveness looks at.
        progress_at: Last time the broker answered the fetch loop, minus infinity before: what
            readiness looks at, unless every slot is busy and there is nothing to ask.
        started: Everything is up and the first fetch was answered.
        running: Queue -> messages of it that run now; for the heartbeat.
        tasks_done: Runs that ended, of all tasks.
        cordoned_since_ms: Broker clock when the cordon was first seen, 0 without one.
        tasks: (queue, task) -> counts.
        stop_flag: What tasks see of it, where there are tasks.
        keeps: Queue -> which ends make dead letters, as of the last fetch: "expired", "failed".
    """

    hostname: str = ""
    pool: str = ""
    queues: tuple[str, ...] = ()
    loop_at: float = 0.0
    progress_at: float = float("-inf")
    started: bool = False
    connected: bool = False
    draining: bool = False
    cordoned: bool = False
    slots: int = 0
    busy: int = 0
    leased: int = 0
    fetched_total: int = 0
    handed_back_total: int = 0
    leases_lost_total: int = 0
    outcomes_refused_total: int = 0
    reconnects_total: int = 0
    slots_lost_total: int = 0
    slots_recycled_total: int = 0
    running: dict[str, int] = msgspec.field(default_factory=dict)
    tasks_done: int = 0
    cordoned_since_ms: int = 0
    tasks: dict[tuple[str, str], TaskCounts] = msgspec.field(default_factory=dict)
    keeps: dict[str, frozenset[str]] = msgspec.field(default_factory=dict)
    stop_flag: StopFlag | None = None

    def drain(self) -> None:
        """Note that the worker is to end, and tell the tasks."""
        self.draining = True
        if self.stop_flag is not None:
            self.stop_flag.set()

    def counts_of(self, queue: str, task: str) -> TaskCounts:
        """Return the counts of a task from a queue, made on first use."""
        counts = self.tasks.get((queue, task))
        if counts is None:
            counts = self.tasks[queue, task] = TaskCounts()
        return counts
