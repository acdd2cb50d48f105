"""From API bodies to what decisions read: Deployments and Pods as views. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from windlass_operator.desired.names import ROLLING, TRACK, VERSION, WORKER_CONTAINER
from windlass_operator.observed import DeploymentView, PodView

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def seconds(stamp: str | None) -> float:
    """Seconds since the epoch of an RFC 3339 time, 0 for none."""
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def deployment_view(body: Mapping[str, Any]) -> DeploymentView:
    """Read a Deployment."""
    metadata, spec, status = body["metadata"], body["spec"], body.get("status") or {}
    generation, observed = metadata.get("generation", 0), status.get("observedGeneration", 0)
    current = status.get("replicas", 0)
    updated = status.get("updatedReplicas", 0)
    failed = [
        condition.get("message", "")
        for condition in status.get("conditions", ())
        if condition.get("type") == "Progressing"
        and condition.get("reason") == "ProgressDeadlineExceeded"
    ]
    return DeploymentView(
        name=metadata["name"],
        version=metadata.get("labels", {}).get(VERSION, ""),
        replicas=spec.get("replicas", 1),
        current=current,
        ready=status.get("readyReplicas", 0),
        updated=updated,
        generation=generation,
        observed_generation=observed,
        resource_version=metadata.get("resourceVersion", ""),
        # A status that is behind tells nothing: as good as a rollout.
        replica_sets=1 if updated == current and observed >= generation else 2,
        progress_failed=failed[0] if failed else "",
        created_s=seconds(metadata.get("creationTimestamp")),
    )


def pod_view(body: Mapping[str, Any], pool: str) -> PodView:
    """Read a Pod of a pool."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels", {})
    track = labels.get(TRACK, ROLLING)
    container: Mapping[str, Any] = next(
        (c for c in status.get("containerStatuses", ()) if c.get("name") == WORKER_CONTAINER), {}
    )
    waiting = container.get("state", {}).get("waiting") or {}
    ended = container.get("lastState", {}).get("terminated") or {}
    ended = container.get("state", {}).get("terminated") or ended
    conditions = {c.get("type"): c for c in status.get("conditions", ())}
    scheduled = conditions.get("PodScheduled", {})
    cost = metadata.get("annotations", {}).get(DELETION_COST, "0")
    return PodView(
        name=metadata["name"],
        deployment=pool if track == ROLLING else f"{pool}-{track}",
        version=labels.get(VERSION, ""),
        phase=status.get("phase", "Pending"),
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        is_deleting="deletionTimestamp" in metadata,
        restarts=container.get("restartCount", 0),
        waiting_reason=waiting.get("reason", ""),
        message=ended.get("message") or waiting.get("message", ""),
        unschedulable=scheduled.get("message", "") if scheduled.get("status") == "False" else "",
        deletion_cost=int(cost) if cost.lstrip("-").isdigit() else 0,
        created_s=seconds(metadata.get("creationTimestamp")),
    )
