"""Every scenario by name, in the order they run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.bench import Bench
from harness.peer import Peer

from . import drain, enqueue, idle, limits, recovery, scheduled, workflows


@dataclass(frozen=True, slots=True)
class Scenario:
    """One measurement.

    Attributes:
        run: Measures one peer once and returns its figures.
        shown: The figures that the table of raw medians shows.
        peer_rounds: Rounds for peers other than Windlass, where they are slow; None for all.
    """

    run: Callable[[Bench, Peer], dict[str, float]]
    shown: tuple[str, ...]
    peer_rounds: int | None = None


SCENARIOS: dict[str, Scenario] = {
    "enqueue_one": Scenario(enqueue.one, ("rate",)),
    "enqueue_bulk": Scenario(enqueue.bulk, ("rate",)),
    "drain_ignored": Scenario(drain.ignored, ("rate", "worker_cpu_us", "redis_cpu_us")),
    "drain_results": Scenario(drain.results, ("rate", "worker_cpu_us", "redis_cpu_us")),
    "drain_limited": Scenario(limits.drain_limited, ("plain", *limits.TASKS)),
    "sleeps": Scenario(drain.sleeps, ("rate", "worker_cpu_us")),
    "start_latency": Scenario(idle.start_latency, ("p50_ms", "p99_ms")),
    "first_task": Scenario(idle.first_task, ("seconds",)),
    "idle": Scenario(idle.idle, ("pss_mb", "commands_per_s_per_process", "cpu_percent")),
    "scheduled_memory": Scenario(scheduled.memory, ("redis_bytes_each", "worker_growth_mb")),
    "lateness": Scenario(scheduled.lateness, ("p50_ms", "p99_ms"), peer_rounds=1),
    "chain": Scenario(workflows.chain, ("seconds",)),
    "chord": Scenario(workflows.chord, ("seconds",)),
    "enqueue_group": Scenario(workflows.enqueue_group, ("rate", "of_bulk")),
    "enqueue_chord": Scenario(workflows.enqueue_chord, ("rate", "of_bulk")),
    "recovery": Scenario(recovery.recovery, ("seconds", "not_run", "ran_twice"), peer_rounds=1),
}
