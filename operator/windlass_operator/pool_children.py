"""A pool's children: applied when what we want changed, or somebody changed them. Pure.

A hash of what was applied stands in an annotation, so a restarted operator writes nothing anew. It
says nothing of changes by hand: those are seen by the owners of fields (`field_owners`), and set
back once for each change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from windlass_operator.field_owners import taken_fields
from windlass_operator.models.workerpool import WorkerPool
from windlass_operator.observed import ChildView, DeploymentView, PoolObserved
from windlass_operator.plan import Action, ApplyObject, EmitEvent, Manager, SetReplicas
from windlass_operator.pool_memory import Correction, PoolMemory
from windlass_operator.reasons import EventReason
from windlass_operator.scaling.decide import ScaleDecision
from windlass_operator.wanted_children import ChildKey, Wanted, child_manifest

#: So often a child that somebody keeps changing is set back at once; then only now and then, for
#: each time would start its workers anew.
MOST_FIGHTS = 3
TRUCE_S = 300.0
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """What to do about children, and for the memory what was corrected and what was right."""

    actions: tuple[Action, ...] = ()
    corrections: Mapping[ChildKey, Correction] = field(default_factory=dict)
    right: Mapping[ChildKey, str] = field(default_factory=dict)
    makes_deployment: bool = False


def plan_children(
    observed: PoolObserved,
    memory: PoolMemory,
    wanted: Wanted,
    current: DeploymentView | None,
    decision: ScaleDecision,
    now_s: float,
) -> Children:
    """Plan the ServiceAccount, the disruption budget and the Deployment of the wanted version."""
    actions: list[Action] = []
    corrections: dict[ChildKey, Correction] = {}
    right: dict[ChildKey, str] = {}
    for key, digest in wanted.hashes.items():
        child = observed.children.get(key)
        if key[0] == "Deployment" and current is None:
            is_known = bool(memory.version or observed.pool.status)
            marked = child_manifest(observed.pool, wanted, key[0])
            actions += _first(marked, decision, is_known=is_known)
        elif child is None or child.applied != digest:
            actions.append(ApplyObject(manifest=child_manifest(observed.pool, wanted, key[0])))
        else:
            known = memory.corrections.get(key)
            if known is not None and now_s - known.at_s >= TRUCE_S:
                known = None
            if child.version and memory.right.get(key) == child.version:
                right[key] = child.version
            else:
                made, known = _held(observed.pool, wanted, key, child, known, now_s)
                actions += made.actions
                right |= made.right
            if known is not None:
                corrections[key] = known
    makes = any(key[0] == "Deployment" for key in wanted.hashes) and current is None
    return Children(
        actions=tuple(actions), corrections=corrections, right=right, makes_deployment=makes
    )


def _held(
    pool: WorkerPool,
    wanted: Wanted,
    key: ChildKey,
    child: ChildView,
    known: Correction | None,
    now_s: float,
) -> tuple[Children, Correction | None]:
    """Look at a child that changed since it was last found right.

    Returns:
        What to do, or that it is right; and the correction to remember.
    """
    if not child.raw:
        return Children(right={key: child.version}), known
    body, marked = child.body(), child_manifest(pool, wanted, key[0])
    taken = taken_fields(marked, body, Manager.TEMPLATE)
    if not taken:
        return Children(right={key: child.version}), known
    actions, known = _corrected(marked, body, taken, known, now_s)
    return Children(actions=actions), known


def _first(
    marked: dict[str, Any], decision: ScaleDecision, *, is_known: bool
) -> tuple[Action, ...]:
    # Without a number the API server would start one pod before the autoscaler speaks. A pool that
    # was looked at before may have a Deployment that only lost its labels.
    spec = {**marked["spec"], "replicas": decision.replicas}
    scale = SetReplicas(deployment=marked["metadata"]["name"], replicas=decision.replicas)
    return (ApplyObject(manifest={**marked, "spec": spec}, is_first=is_known), scale)


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
