"""What stands beside a pool's Deployment: its ServiceAccount and its disruption budget."""

from __future__ import annotations

from typing import Any

from windlass_operator.desired import names
from windlass_operator.models.workerpool import WorkerPool


def desired_service_account(pool: WorkerPool) -> dict[str, Any]:
    """An account without a token: workers need nothing of the Kubernetes API."""
    name = pool.identity.name
    labels = {**names.common_labels(name, "worker"), names.POOL: name}
    manifest = names.child("v1", "ServiceAccount", names.account_name(name), pool.identity, labels)
    manifest["automountServiceAccountToken"] = False
    return manifest


def desired_disruption_budget(pool: WorkerPool) -> dict[str, Any]:
    """At most a tenth of the workers (rounded up, so one at least) may be evicted at a time."""
    name = pool.identity.name
    labels = {**names.common_labels(name, "worker"), names.POOL: name}
    manifest = names.child("policy/v1", "PodDisruptionBudget", name, pool.identity, labels)
    manifest["spec"] = {
        "maxUnavailable": "10%",
        "selector": {"matchLabels": {names.POOL: name}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
    return manifest
