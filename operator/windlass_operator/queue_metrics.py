"""Prometheus metrics of queues: what is set aside and will not mend itself.

How much waits and runs is a pool's to show (`windlass_operator.metrics`). Labels are bounded by the
TaskQueues there are and by the reasons that there are for a dead letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from windlass_operator.observed import QueueView
from windlass_operator.queue_aside import MOST_REASONS
from windlass_operator.store import Key

_QUEUE = ("namespace", "queue")


class QueueMetrics(Collector):
    """The queues as they were seen last; series are made when somebody asks."""

    def __init__(self) -> None:
        self.views: Mapping[Key, QueueView] = {}

    def describe(self) -> Iterable[Metric]:
        """Name the series without reading anything."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Make the series."""
        parked, blocked, dead = families = self._families()
        # The health port may be asked from another thread: each tick brings a mapping of its own.
        for key, view in self.views.items():
            if view.depth is None or view.conflict:
                continue
            parked.add_metric(key, view.depth.parked)
            blocked.add_metric(key, view.depth.blocked)
            reasons = {} if view.aside is None or not view.depth.dead else view.aside.reasons
            for reason, count in list(reasons.items())[:MOST_REASONS]:
                dead.add_metric((*key, reason), count)
        return families

    def _families(self) -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
        return (
            GaugeMetricFamily(
                "windlass_queue_parked_messages",
                "Messages of tasks that no worker knows.",
                labels=_QUEUE,
            ),
            GaugeMetricFamily(
                "windlass_queue_blocked_messages",
                "Messages that a limit of their task or key holds.",
                labels=_QUEUE,
            ),
            GaugeMetricFamily(
                "windlass_queue_dead_letters", "Dead letters.", labels=(*_QUEUE, "reason")
            ),
        )
