"""Builders of what the operator sees: every field filled; a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass.brokers.base import QueueDepth
from windlass.control_plane.heartbeats import WorkerStatus
from windlass_operator.models.taskqueue import TaskQueue
from windlass_operator.models.workerpool import WorkerPool
from windlass_operator.observed import (
    BrokerView,
    DeploymentView,
    PodView,
    PoolObserved,
    QueueView,
)

NOW_S = 1_800_000_000.0
AUTOSCALING: Mapping[str, Any] = {"minReplicas": 0, "maxReplicas": 20}


def queue_body(name: str = "emails", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "windlass.dev/v1alpha1",
        "kind": "TaskQueue",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-24T06:00:00Z",
        },
        "spec": spec,
    }


def pool_body(name: str = "emails", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "app": "shop.tasks",
        "image": "registry.example/shop:1.4",
        "queues": [{"name": "emails"}],
        **spec,
    }
    if "replicas" not in given and "autoscaling" not in given:
        given["autoscaling"] = dict(AUTOSCALING)
    return {**queue_body(name, namespace), "kind": "WorkerPool", "spec": given}


def schedule_body(name: str = "nightly", namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"task": "shop.report", "queueRef": {"name": "emails"}, **spec}
    if "every" not in given:
        given.setdefault("schedule", "0 3 * * *")
    return {**queue_body(name, namespace), "kind": "BeatSchedule", "spec": given}


def make_queue(name: str = "emails", namespace: str = "shop", **spec: Any) -> TaskQueue:
    return TaskQueue.from_object(queue_body(name, namespace, **spec))


def make_pool(name: str = "emails", namespace: str = "shop", **spec: Any) -> WorkerPool:
    return WorkerPool.from_object(pool_body(name, namespace, **spec))


def make_depth(queue: str = "emails", **values: Any) -> QueueDepth:
    return QueueDepth(queue=queue, **values)


def make_broker(**values: Any) -> BrokerView:
    return BrokerView(**{"broker_id": "b1", "keyspace": "shop", **values})


def make_view(ref: str = "emails", **values: Any) -> QueueView:
    given: dict[str, Any] = {
        "queue": make_queue(ref),
        "broker": make_broker(),
        "depth": make_depth(ref),
        **values,
    }
    return QueueView(ref=ref, **given)


def make_deployment(name: str = "emails", **values: Any) -> DeploymentView:
    replicas = values.pop("replicas", 1)
    given: dict[str, Any] = {
        "version": "v1",
        "current": replicas,
        "ready": replicas,
        "updated": replicas,
        "generation": 1,
        "observed_generation": 1,
        "resource_version": "100",
        **values,
    }
    return DeploymentView(name=name, replicas=replicas, **given)


def make_pod(name: str = "emails-0", **values: Any) -> PodView:
    given: dict[str, Any] = {
        "deployment": "emails",
        "version": "v1",
        "phase": "Running",
        "is_ready": True,
        **values,
    }
    return PodView(name=name, **given)


def make_worker(pod: str = "emails-0", **values: Any) -> WorkerStatus:
    return WorkerStatus(worker_id=f"{pod}@1", hostname=pod, slots=1, **values)


def make_observed(pool: WorkerPool | None = None, **values: Any) -> PoolObserved:
    given: dict[str, Any] = {"queues": (make_view(),), **values}
    return PoolObserved(pool=pool or make_pool(), **given)
