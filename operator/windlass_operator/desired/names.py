"""Names and labels of children. Selectors are apart from labels: they can never change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass_operator.models.resource import API_VERSION, Identity
from windlass_operator.models.workerpool import RolloutStrategy, WorkerPool

GROUP = "windlass.dev"
POOL = f"{GROUP}/pool"
TRACK = f"{GROUP}/track"
VERSION = f"{GROUP}/version"
QUEUE = f"{GROUP}/queue"
BINDING = f"{GROUP}/binding"
BROKER_ALLOW = f"{GROUP}/broker"
CREDENTIALS = f"{GROUP}/credentials"
MANAGED_BY = "app.kubernetes.io/managed-by"
OPERATOR = "windlass-operator"
FINALIZER = f"{GROUP}/cleanup"
#: Track of the one Deployment of a pool that is rolled in place.
ROLLING = "rolling"
WORKER_CONTAINER = "worker"


def deployment_name(pool: WorkerPool, version: str) -> str:
    """Name of the Deployment of a template version."""
    if pool.spec.rollout.strategy is RolloutStrategy.DRAIN:
        return f"{pool.identity.name}-{version}"
    return pool.identity.name


def track(pool: WorkerPool, version: str) -> str:
    """Value that keeps the selectors of a pool's Deployments apart."""
    return version if pool.spec.rollout.strategy is RolloutStrategy.DRAIN else ROLLING


def binding_name(queue_object: str) -> str:
    """Name of the Secret by which applications reach a queue."""
    return f"{queue_object}-binding"


def account_name(pool_name: str) -> str:
    """Name of the ServiceAccount of a pool's workers."""
    return f"{pool_name}-worker"


def common_labels(instance: str, component: str) -> dict[str, str]:
    """Recommended labels of every child."""
    return {
        "app.kubernetes.io/name": f"windlass-{component}",
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "windlass",
        MANAGED_BY: OPERATOR,
    }


def pool_selector(pool_name: str) -> str:
    """Selector of all pods of a pool, as text: for the scale subresource."""
    return f"{POOL}={pool_name}"


def owner_reference(owner: Identity) -> dict[str, Any]:
    """The reference by which the garbage collector removes children with their owner."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(
    api_version: str, kind: str, name: str, owner: Identity, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Start a child's manifest."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": dict(labels),
            "ownerReferences": [owner_reference(owner)],
        },
    }
