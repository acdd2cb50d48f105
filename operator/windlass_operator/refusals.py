"""What cannot be done: a spec that cannot be used, a child that the API server refuses. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass_operator.conditions import Condition, merged
from windlass_operator.desired.names import FINALIZER
from windlass_operator.models.resource import Identity, InvalidSpecError, identity_of
from windlass_operator.plan import Action, EmitEvent, Plan, SetFinalizer, SetStatus
from windlass_operator.reasons import ConditionReason, ConditionType, EventReason


def reduce_invalid(body: Mapping[str, Any], error: InvalidSpecError, now_s: float) -> Plan:
    """Say what is wrong with a spec; a deleted object is let go, for nothing can be cleaned up."""
    identity = identity_of(body)
    if identity.is_deleting:
        if FINALIZER not in identity.finalizers:
            return Plan()
        event = EmitEvent(
            reason=EventReason.CLEANUP_ABANDONED,
            message=f"Waiting messages were not purged: {error}",
            is_warning=True,
        )
        return Plan(actions=(event, SetFinalizer(present=False)))
    return refused_spec(identity, body.get("status") or {}, error, now_s)


def refused_spec(
    identity: Identity, status: Mapping[str, Any], error: InvalidSpecError, now_s: float
) -> Plan:
    """Say what is wrong with a spec, and leave the rest of the status as it is."""
    ready = not_ready(ConditionReason.INVALID_SPEC, str(error))
    conditions = merged(status.get("conditions", ()), [ready], identity.generation, now_s)
    wanted = {**status, "observedGeneration": identity.generation, "conditions": conditions}
    return Plan(actions=(SetStatus(status=wanted),))


def without_refused(plan: Plan, current: Mapping[str, Any], refusal: str, now_s: float) -> Plan:
    """What is left of a plan of which the API server refused a child: to say so.

    Args:
        plan: The plan that could not be carried out.
        current: The status on the object.
        refusal: The API server's words.
        now_s: The instant.
    """
    statuses = [action for action in plan.actions if isinstance(action, SetStatus)]
    return Plan(actions=tuple(_said(action, current, refusal, now_s) for action in statuses))


def _said(action: SetStatus, current: Mapping[str, Any], refusal: str, now_s: float) -> Action:
    wanted = action.status
    ready = not_ready(
        ConditionReason.CHILD_REFUSED,
        f"The API server refused what this needs: {refusal}. Look at spec.podTemplate, quotas and "
        "the operator's permissions.",
    )
    generation = wanted.get("observedGeneration", 0)
    [condition] = merged(current.get("conditions", ()), [ready], generation, now_s)
    others = [c for c in wanted["conditions"] if c["type"] != ConditionType.READY]
    return SetStatus(status={**wanted, "conditions": [condition, *others]})


def not_ready(reason: str, message: str) -> Condition:
    """Ready is False."""
    return Condition(type=ConditionType.READY, status=False, reason=reason, message=message)
