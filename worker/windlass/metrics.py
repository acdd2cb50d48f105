"""Prometheus metrics of a worker, made from its `WorkerState` when they are asked for.

Nothing is counted twice: the supervisor counts, this file names. Labels are bounded: `queue` and
`task` only, at most MAX_SERIES pairs of them, never a pod, an id or a host. The table in
docs/reference/metrics.md is tested equal to METRICS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from windlass._version import __version__
from windlass.runtime.state import RUNTIME_BUCKETS_S, TaskCounts, WorkerState

#: Pairs of queue and task with series of their own; what comes later is summed under OTHER.
MAX_SERIES = 1000
OTHER = "_other"


@dataclass(frozen=True, slots=True)
class MetricName:
    """A metric as users see it: name, type, labels and meaning."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


# Field of WorkerState -> the rest of a metric's name, and its meaning.
_GAUGES = {
    "slots": ("worker_slots", "Tasks that can run at the same time."),
    "busy": ("worker_slots_busy", "Slots that run a task now."),
    "leased": ("worker_leased", "Messages that this worker owns now, running or about to."),
    "connected": ("worker_connected", "1 while the broker answers."),
    "draining": ("worker_draining", "1 once the worker was told to stop."),
    "cordoned": ("worker_cordoned", "1 while the operator lets it take nothing more."),
}
_COUNTERS = {
    "fetched_total": ("messages_fetched", "Messages leased."),
    "handed_back_total": ("messages_handed_back", "Messages given back before they were done."),
    "leases_lost_total": ("leases_lost", "Leases that ran out or were taken away."),
    "outcomes_refused_total": (
        "outcomes_refused",
        "Outcomes that came too late: another worker owns the message.",
    ),
    "reconnects_total": ("broker_reconnects", "Times the broker was reached again."),
    "slots_lost_total": ("slots_lost", "Slot processes that died unasked."),
    "slots_recycled_total": (
        "slots_recycled",
        "Slot processes replaced for their task count or memory.",
    ),
}
_INFO = MetricName(
    "windlass_worker_info", "gauge", ("version", "pool"), "Always 1; says what runs here."
)
_ENDED = MetricName(
    "windlass_tasks_total", "counter", ("queue", "task", "state"), "Messages by how they ended."
)
_RUNTIME = MetricName(
    "windlass_task_runtime_seconds", "histogram", ("queue", "task"), "Run time of tasks."
)
#: All of ours, in the order they are printed. Beside them: process_* of prometheus-client.
METRICS: tuple[MetricName, ...] = (
    _INFO,
    *(MetricName(f"windlass_{name}", "gauge", (), help) for name, help in _GAUGES.values()),
    *(
        MetricName(f"windlass_{name}_total", "counter", (), help)
        for name, help in _COUNTERS.values()
    ),
    _ENDED,
    _RUNTIME,
)


class WorkerCollector(Collector):
    """Turns a snapshot of the worker's state into metric families."""

    def __init__(self, state: Callable[[], WorkerState]) -> None:
        self._state = state

    def describe(self) -> list[Metric]:
        """Name nothing ahead of time, so that registering does not need a state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every family of METRICS."""
        state = self._state()
        info = InfoMetricFamily(_INFO.name.removesuffix("_info"), _INFO.help)
        info.add_metric([], {"version": __version__, "pool": state.pool})
        yield info
        for field, (name, help) in _GAUGES.items():
            yield GaugeMetricFamily(f"windlass_{name}", help, value=float(getattr(state, field)))
        for field, (name, help) in _COUNTERS.items():
            yield CounterMetricFamily(f"windlass_{name}", help, value=getattr(state, field))
        tasks = bounded(state.tasks)
        yield _ended(tasks)
        yield _runtimes(tasks)


def bounded(tasks: dict[tuple[str, str], TaskCounts]) -> dict[tuple[str, str], TaskCounts]:
    """Keep the first MAX_SERIES pairs apart and sum the others under OTHER, by queue."""
    kept: dict[tuple[str, str], TaskCounts] = {}
    # list(): the supervisor adds pairs while we look.
    for index, ((queue, task), counts) in enumerate(list(tasks.items())):
        if index < MAX_SERIES:
            kept[queue, task] = counts
        else:
            _add(kept.setdefault((OTHER, OTHER), TaskCounts()), counts)
    return kept


def new_registry(state: Callable[[], WorkerState]) -> CollectorRegistry:
    """Return a registry of the worker's metrics and of the supervisor's process."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(WorkerCollector(state))
    ProcessCollector(registry=registry)
    return registry


def _ended(tasks: dict[tuple[str, str], TaskCounts]) -> Metric:
    family = CounterMetricFamily(_ENDED.name, _ENDED.help, labels=_ENDED.labels)
    for (queue, task), counts in tasks.items():
        for state, count in list(counts.ended.items()):
            family.add_metric((queue, task, state), count)
    return family


def _runtimes(tasks: dict[tuple[str, str], TaskCounts]) -> Metric:
    family = HistogramMetricFamily(_RUNTIME.name, _RUNTIME.help, labels=_RUNTIME.labels)
    bounds = [*(str(bound) for bound in RUNTIME_BUCKETS_S), "+Inf"]
    for (queue, task), counts in tasks.items():
        sums = list(accumulate(list(counts.buckets)))
        family.add_metric(
            (queue, task), list(zip(bounds, sums, strict=True)), sum_value=counts.runtime_s
        )
    return family


def _add(total: TaskCounts, more: TaskCounts) -> None:
    for state, count in more.ended.items():
        total.ended[state] = total.ended.get(state, 0) + count
    total.runtime_s += more.runtime_s
    total.buckets = [a + b for a, b in zip(total.buckets, more.buckets, strict=True)]
