"""Prometheus metrics: what the operator sees of each pool, what it decides, how long it takes.

Labels are bounded by the objects there are: namespace, pool, queue. Never a pod.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from windlass_operator.observed import PoolObserved
from windlass_operator.pool_status import backlog_of
from windlass_operator.queue_metrics import QueueMetrics
from windlass_operator.scaling.decide import ScaleDecision

_POOL = ("namespace", "pool")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


#: What may become of a schedule's due time; other answers mean that it was dealt with before.
_ANSWERS = ("FIRED", "MISSED", "OVERLAP")
#: Gauges of a pool, in the order of its numbers.
_GAUGES = (
    ("replicas_desired", "Workers wanted."),
    ("replicas_current", "Workers there."),
    ("busy_slots", "Slots that run a task."),
    ("backlog_messages", "Messages that wait in the pool's queues."),
    ("oldest_message_age_seconds", "Age of the oldest of them."),
    ("scale_down_wrong_victims", "Pods that left although others were chosen."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbers:
    values: tuple[float, ...]
    need: Mapping[str, float]
    reason: str


class _Pools(Collector):
    """The numbers of all pools as they were last seen; series are made when somebody asks.

    A gauge for each of them would be set with every tick, and asked for now and then.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], _Numbers] = {}

    def describe(self) -> Iterable[Metric]:
        return [_family(name, text) for name, text in _GAUGES]

    def collect(self) -> Iterable[Metric]:
        known = dict(self.known)  # the health port may be asked from another thread
        for index, (name, text) in enumerate(_GAUGES):
            family = _family(name, text)
            for labels, numbers in known.items():
                family.add_metric(labels, numbers.values[index])
            yield family
        need = _family(
            "queue_need_slots", "Slots of a queue's need that fall to the pool.", (*_POOL, "queue")
        )
        decision = _family("decision", "1 for the reason of the last decision.", (*_POOL, "reason"))
        for labels, numbers in known.items():
            for queue, slots in numbers.need.items():
                need.add_metric((*labels, queue), slots)
            decision.add_metric((*labels, numbers.reason), 1)
        yield from (need, decision)


def _family(name: str, text: str, labels: tuple[str, ...] = _POOL) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"windlass_pool_{name}", text, labels=labels)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        self._pools = _Pools()
        registry.register(self._pools)
        #: Is given the views of every tick.
        self.queues = QueueMetrics()
        registry.register(self.queues)
        self.ticks = Histogram(
            "windlass_operator_tick_seconds",
            "Duration of a tick.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.reconciles = Histogram(
            "windlass_operator_reconcile_seconds",
            "Duration of deciding and applying one object.",
            ("kind",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.broker_reads = Histogram(
            "windlass_operator_broker_read_seconds",
            "Duration of a survey of one broker.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.failures = Counter(
            "windlass_operator_failures",
            "Plans that could not be carried out.",
            ("kind", "cause"),
            registry=registry,
        )
        self.times = Counter(
            "windlass_operator_schedule_times",
            "Due times of schedules, by what became of them.",
            ("namespace", "answer"),
            registry=registry,
        )
        self.leading = Gauge(
            "windlass_operator_leading", "1 while this process leads.", registry=registry
        )

    def show_pool(
        self, observed: PoolObserved, decision: ScaleDecision, desired: int, wrong_victims: int
    ) -> None:
        """Take one pool's numbers in."""
        identity = observed.pool.identity
        oldest_ms = max((v.depth.oldest_ms for v in observed.queues if v.depth), default=0)
        self._pools.known[identity.namespace, identity.name] = _Numbers(
            values=(
                desired,
                sum(d.current for d in observed.deployments),
                sum(worker.busy for worker in observed.workers),
                backlog_of(observed.queues),
                oldest_ms / 1000,
                wrong_victims,
            ),
            need=observed.shares,
            reason=str(decision.reason),
        )

    def note_fire(self, namespace: str, answer: str) -> None:
        """Count what became of a schedule's due time; from any thread."""
        if answer in _ANSWERS:
            self.times.labels(namespace, answer.lower()).inc()

    def forget_pool(self, namespace: str, name: str) -> None:
        """Remove a pool that is gone."""
        self._pools.known.pop((namespace, name), None)
