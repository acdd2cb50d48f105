"""Prometheus metrics: what the operator sees of each pool, what it decides, how long it takes.

Labels are bounded by the objects there are: namespace, pool, queue. Never a pod.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from windlass_operator.observed import PoolObserved
from windlass_operator.pool_status import backlog_of
from windlass_operator.scaling.decide import ScaleDecision

_POOL = ("namespace", "pool")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def gauge(name: str, text: str, labels: tuple[str, ...] = _POOL) -> Gauge:
            return Gauge(f"windlass_pool_{name}", text, labels, registry=registry)

        self.desired = gauge("replicas_desired", "Workers wanted.")
        self.current = gauge("replicas_current", "Workers there.")
        self.busy = gauge("busy_slots", "Slots that run a task.")
        self.backlog = gauge("backlog_messages", "Messages that wait in the pool's queues.")
        self.oldest = gauge("oldest_message_age_seconds", "Age of the oldest of them.")
        self.need = gauge(
            "queue_need_slots", "Slots of a queue's need that fall to the pool.", (*_POOL, "queue")
        )
        self.decision = gauge(
            "decision", "1 for the reason of the last decision.", (*_POOL, "reason")
        )
        self.wrong_victims = gauge(
            "scale_down_wrong_victims", "Pods that left although others were chosen."
        )
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
        self.leading = Gauge(
            "windlass_operator_leading", "1 while this process leads.", registry=registry
        )

    def show_pool(
        self, observed: PoolObserved, decision: ScaleDecision, desired: int, wrong_victims: int
    ) -> None:
        """Take one pool's numbers in."""
        identity = observed.pool.identity
        labels = (identity.namespace, identity.name)
        self.desired.labels(*labels).set(desired)
        self.current.labels(*labels).set(sum(d.current for d in observed.deployments))
        self.busy.labels(*labels).set(sum(worker.busy for worker in observed.workers))
        self.backlog.labels(*labels).set(backlog_of(observed.queues))
        oldest = max((v.depth.oldest_ms for v in observed.queues if v.depth), default=0)
        self.oldest.labels(*labels).set(oldest / 1000)
        self.wrong_victims.labels(*labels).set(wrong_victims)
        for queue, slots in observed.shares.items():
            self.need.labels(*labels, queue).set(slots)
        self._drop(self.decision, labels)
        self.decision.labels(*labels, str(decision.reason)).set(1)

    def forget_pool(self, namespace: str, name: str) -> None:
        """Remove a pool that is gone."""
        labels = (namespace, name)
        for metric in (
            self.desired, self.current, self.busy, self.backlog, self.oldest, self.wrong_victims,
            self.need, self.decision,
        ):  # fmt: skip
            self._drop(metric, labels)

    @staticmethod
    def _drop(metric: Gauge, labels: tuple[str, str]) -> None:
        metric.remove_by_labels(dict(zip(_POOL, labels, strict=True)))
