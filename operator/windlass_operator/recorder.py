"""Kubernetes Events, few and countable: the same news is counted up, and a flood is cut off.

Source: the shape of client-go's recorder: a token bucket for each object (25 at once, then one in
ten seconds), and a count on the event instead of a new one for what was said already.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from windlass import log as logs
from windlass_operator.conditions import timestamp
from windlass_operator.kube import MERGE, Kube, KubeError, Ref
from windlass_operator.models.resource import API_VERSION, Identity
from windlass_operator.plan import EmitEvent

log = logs.get_logger(__name__)

BURST = 25.0
REFILL_S = 10.0
#: The same news within so long is counted on the first event.
SAME_S = 600.0
_KEPT = 4096


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    at_s: float


class Recorder:
    """Writes Events about our objects."""

    def __init__(self, kube: Kube, instance: str) -> None:
        self._kube = kube
        self._instance = instance
        self._buckets: dict[str, _Bucket] = {}
        self._series: dict[tuple[str, str, str], _Series] = {}

    async def emit(self, about: Identity, event: EmitEvent) -> None:
        """Write or count up an Event. Losing one is no failure."""
        now_s = time.time()  # events carry wall time
        key = (about.uid or about.key, event.reason, event.message)
        series = self._series.get(key)
        try:
            if series is not None and now_s - series.at_s < SAME_S:
                await self._count_up(about, series, now_s)
            elif self._may(about.uid or about.key, now_s):
                await self._create(about, event, key, now_s)
        except KubeError as error:
            log.warning("event_lost", reason=event.reason, object=about.key, error=str(error))

    def _may(self, uid: str, now_s: float) -> bool:
        if len(self._buckets) > _KEPT:
            self._buckets.clear()
        bucket = self._buckets.setdefault(uid, _Bucket(BURST, now_s))
        bucket.tokens = min(BURST, bucket.tokens + (now_s - bucket.at_s) / REFILL_S)
        bucket.at_s = now_s
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _create(
        self, about: Identity, event: EmitEvent, key: tuple[str, str, str], now_s: float
    ) -> None:
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{about.name}.", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": about.uid,
            },
            "type": "Warning" if event.is_warning else "Normal",
            "reason": event.reason,
            "message": event.message[:1024],
            "count": 1,
            "firstTimestamp": timestamp(now_s),
            "lastTimestamp": timestamp(now_s),
            "source": {"component": "windlass-operator"},
            "reportingComponent": "windlass-operator",
            "reportingInstance": self._instance,
        }
        made = await self._kube.create(body)
        if len(self._series) > _KEPT:
            self._series.clear()
        self._series[key] = _Series(made["metadata"]["name"], 1, now_s)

    async def _count_up(self, about: Identity, series: _Series, now_s: float) -> None:
        series.count += 1
        series.at_s = now_s
        ref = Ref(kind="Event", namespace=about.namespace, name=series.name)
        patch = {"count": series.count, "lastTimestamp": timestamp(now_s)}
        await self._kube.patch(ref, patch, content_type=MERGE)
