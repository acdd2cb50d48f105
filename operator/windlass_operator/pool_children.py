"""A pool's children: applied when what we want changed, or somebody changed them. Pure.

A hash of what was applied stands in an annotation, so a restarted operator writes nothing anew. It
says nothing of changes by hand: those are seen by the owners of fields (`field_owners`), and set
back once for each change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass_operator.desired import names
from windlass_operator.desired.accompanying import (
    desired_disruption_budget,
    desired_service_account,
)
from windlass_operator.desired.worker_deployment import WorkerTemplate, desired_deployment
from windlass_operator.field_owners import taken_fields
from windlass_operator.observed import DeploymentView, PoolObserved
from windlass_operator.plan import Action, ApplyObject, EmitEvent, Manager, SetReplicas
from windlass_operator.pool_memory import Correction, PoolMemory
from windlass_operator.reasons import EventReason
from windlass_operator.scaling.decide import ScaleDecision

#: Annotation with the hash of what we last applied: a restarted operator writes nothing anew.
APPLIED = f"{names.GROUP}/applied"
#: So often a child that somebody keeps changing is set back at once; then only now and then, for
#: each time would start its workers anew.
MOST_FIGHTS = 3
TRUCE_S = 300.0
_MOST_NAMED = 5

ChildKey = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """What to do about children, and for the memory what was corrected and what was right."""

    actions: tuple[Action, ...] = ()
    corrections: Mapping[ChildKey, Correction] = field(default_factory=dict)
    right: Mapping[ChildKey, str] = field(default_factory=dict)


def plan_children(
    observed: PoolObserved,
    memory: PoolMemory,
    template: WorkerTemplate | None,
    current: DeploymentView | None,
    decision: ScaleDecision,
    now_s: float,
) -> Children:
    """Plan the ServiceAccount, the disruption budget and the Deployment of the wanted version."""
    pool = observed.pool
    wanted = [desired_service_account(pool), desired_disruption_budget(pool)]
    if template is not None:
        wanted.append(desired_deployment(pool, template))
    actions: list[Action] = []
    corrections: dict[ChildKey, Correction] = {}
    right: dict[ChildKey, str] = {}
    for manifest in wanted:
        marked = marked_manifest(manifest)
        key = (manifest["kind"], manifest["metadata"]["name"])
        if manifest["kind"] == "Deployment" and current is None:
            actions += _first(marked, decision)
        elif observed.applied.get(key) != marked["metadata"]["annotations"][APPLIED]:
            actions.append(ApplyObject(manifest=marked))
        else:
            body, known = observed.bodies.get(key), memory.corrections.get(key)
            version = body["metadata"].get("resourceVersion", "") if body else ""
            if known is not None and now_s - known.at_s >= TRUCE_S:
                known = None
            taken: list[str] = []
            if body and not (version and memory.right.get(key) == version):
                taken = taken_fields(marked, body, Manager.TEMPLATE)
            if body and taken:
                made, known = _corrected(marked, body, taken, known, now_s)
                actions += made
            else:
                right[key] = version
            if known is not None:
                corrections[key] = known
    return Children(actions=tuple(actions), corrections=corrections, right=right)


def marked_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the hash of itself in its annotations."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]
    metadata = dict(manifest["metadata"])
    metadata["annotations"] = {**metadata.get("annotations", {}), APPLIED: digest}
    return {**manifest, "metadata": metadata}


def _first(marked: dict[str, Any], decision: ScaleDecision) -> tuple[Action, ...]:
    # Without a number the API server would start one pod before the autoscaler speaks.
    spec = {**marked["spec"], "replicas": decision.replicas}
    scale = SetReplicas(deployment=marked["metadata"]["name"], replicas=decision.replicas)
    return (ApplyObject(manifest={**marked, "spec": spec}), scale)


def _corrected(
    marked: Mapping[str, Any],
    body: Mapping[str, Any],
    taken: Sequence[str],
    known: Correction | None,
    now_s: float,
) -> tuple[tuple[Action, ...], Correction | None]:
    """Set back what was changed by hand.

    Returns:
        What to do, and the correction to remember.
    """
    stamp = _stamp(body)
    count = 0 if known is None else known.count
    if known is not None and (known.stamp == stamp or count >= MOST_FIGHTS):
        return (), known  # setting it back did not help, or somebody does not give in
    shown = ", ".join(taken[:_MOST_NAMED])
    more = f" and {len(taken) - _MOST_NAMED} more" if len(taken) > _MOST_NAMED else ""
    event = EmitEvent(
        reason=EventReason.CHILD_CORRECTED,
        message=f"{marked['kind']} {marked['metadata']['name']} was changed by somebody else and "
        f"is set back: {shown}{more}. Change the WorkerPool instead (spec.podTemplate), or set "
        "spec.paused.",
        is_warning=True,
    )
    correction = Correction(stamp=stamp, count=count + 1, at_s=now_s)
    return (ApplyObject(manifest=marked), event), correction


def _stamp(body: Mapping[str, Any]) -> str:
    """What changes with each change of the spec; not every kind counts generations."""
    metadata = body["metadata"]
    return str(metadata.get("generation") or metadata.get("resourceVersion", ""))
