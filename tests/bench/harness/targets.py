"""What the numbers are held against: "at least" has to be met, "aim" is where to go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: scenario -> peer -> figure -> median
Medians = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One comparison.

    Attributes:
        line: What is measured, in words.
        kind: "at least" or "aim".
        text: The target, in words.
        value: Computes the measured value; raises KeyError where something was not measured.
        limit: The target as a number.
        higher: More is better.
        unit: Printed after the value.
    """

    line: str
    kind: str
    text: str
    value: Callable[[Medians], float]
    limit: float
    higher: bool
    unit: str

    def met(self, value: float) -> bool:
        """Say whether a measured value meets the target."""
        return value >= self.limit if self.higher else value <= self.limit


def _ratio(scenario: str, figure: str, peer: str) -> Callable[[Medians], float]:
    return lambda m: m[scenario]["windlass"][figure] / m[scenario][peer][figure]


def _own(scenario: str, figure: str) -> Callable[[Medians], float]:
    return lambda m: m[scenario]["windlass"][figure]


def _more(line: str, kind: str, scenario: str, peer: str, limit: float) -> Target:
    """A rate against a peer's rate."""
    percent = peer == "bare"
    return Target(
        line=line,
        kind=kind,
        text=f"{limit:.0%} of {peer}" if percent else f"{limit:g}x {peer}",
        value=_ratio(scenario, "rate", peer),
        limit=limit,
        higher=True,
        unit=f"x {peer}",
    )


def _most(
    line: str, kind: str, value: Callable[[Medians], float], limit: float, unit: str
) -> Target:
    """A cost that may not be above a limit."""
    return Target(
        line=line,
        kind=kind,
        text=f"at most {limit:g} {unit}",
        value=value,
        limit=limit,
        higher=False,
        unit=unit,
    )


def _least(line: str, scenario: str, limit: float) -> Target:
    """A rate against that of the same messages sent by a bulk call."""
    return Target(
        line=line,
        kind="at least",
        text=f"{limit:.0%} of bulk",
        value=_own(scenario, "of_bulk"),
        limit=limit,
        higher=True,
        unit="x bulk",
    )


TARGETS: tuple[Target, ...] = (
    _more("enqueue one", "at least", "enqueue_one", "celery", 2.5),
    _more("enqueue one", "aim", "enqueue_one", "bare", 0.80),
    _more("enqueue bulk", "at least", "enqueue_bulk", "celery", 40),
    _more("enqueue bulk", "aim", "enqueue_bulk", "bare", 0.50),
    _more("drain, results ignored", "at least", "drain_ignored", "celery", 40),
    _more("drain, results ignored", "at least", "drain_ignored", "taskiq", 7),
    _more("drain, results ignored", "aim", "drain_ignored", "bare", 0.20),
    _more("drain, results stored", "at least", "drain_results", "celery", 35),
    _more("drain, results stored", "aim", "drain_results", "bare", 0.25),
    _more("chain of 100", "at least", "chain", "celery", 5),
    _more("chord of 1,000", "at least", "chord", "celery", 20),
    _least("enqueue a group of 100,000", "enqueue_group", 1 / 3),
    _least("enqueue a chord of 10,000", "enqueue_chord", 1 / 3),
    _most(
        "worker CPU a task",
        "at least",
        _ratio("drain_ignored", "worker_cpu_us", "celery"),
        1 / 50,
        "of celery's",
    ),
    *(
        Target(
            line=f"drain under limits: {task}",
            kind="at least",
            text="1/3 of the plain rate",
            value=_own("drain_limited", task),
            limit=1 / 3,
            higher=True,
            unit="of plain",
        )
        for task in ("beside", "rated", "narrow", "keyed", "turns")
    ),
    _most("worker CPU a task", "aim", _own("drain_ignored", "worker_cpu_us"), 25, "us"),
    _more("10 ms async sleeps", "at least", "sleeps", "taskiq", 2),
    Target(
        line="10 ms async sleeps",
        kind="aim",
        text="10,000 a second",
        value=_own("sleeps", "rate"),
        limit=10_000,
        higher=True,
        unit="a second",
    ),
    _most(
        "enqueue to start, p50",
        "at least",
        _ratio("start_latency", "p50_ms", "taskiq"),
        1,
        "of taskiq's",
    ),
    _most(
        "idle Redis commands",
        "at least",
        _own("idle", "commands_per_s_per_process"),
        5,
        "/s/process",
    ),
    _most("idle CPU", "at least", _own("idle", "cpu_percent"), 0.3, "%"),
    _most("start to first task", "at least", _own("first_task", "seconds"), 1, "s"),
    _most(
        "memory of an idle worker",
        "at least",
        _ratio("idle", "pss_mb", "celery"),
        0.6,
        "of celery's",
    ),
    _most("memory of an idle worker", "aim", _own("idle", "pss_mb"), 60, "MB"),
    _most(
        "a scheduled task in Redis",
        "at least",
        _own("scheduled_memory", "redis_bytes_each"),
        400,
        "bytes",
    ),
    _most(
        "100,000 scheduled, worker",
        "at least",
        _own("scheduled_memory", "worker_growth_mb"),
        1,
        "MB more",
    ),
    _most("lateness of scheduled, p99", "at least", _own("lateness", "p99_ms"), 10, "ms"),
    _most("recovery after kill -9", "at least", _own("recovery", "seconds"), 20, "s"),
    _most("tasks lost by kill -9", "at least", _own("recovery", "not_run"), 0, "tasks"),
)
