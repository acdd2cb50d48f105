"""What cannot be done is said in the status, and holds no namespace."""

from __future__ import annotations

from typing import Any

from operator_builders import NOW_S, queue_body
from windlass_operator.conditions import Condition, merged, timestamp
from windlass_operator.models.resource import InvalidSpecError
from windlass_operator.plan import EmitEvent, Plan, SetFinalizer, SetReplicas, SetStatus
from windlass_operator.reasons import ConditionReason, EventReason
from windlass_operator.refusals import reduce_invalid, without_refused

ERROR = InvalidSpecError("TaskQueue shop/emails has an invalid spec: spec.x is not a field.")


def ready(plan: Plan) -> dict[str, Any]:
    status = next(a.status for a in plan.actions if isinstance(a, SetStatus))
    condition: dict[str, Any] = status["conditions"][0]
    return condition


def test_an_invalid_spec_is_said_in_the_status() -> None:
    condition = ready(reduce_invalid(queue_body(), ERROR, NOW_S))

    assert (condition["type"], condition["status"]) == ("Ready", "False")
    assert condition["reason"] == ConditionReason.INVALID_SPEC
    assert condition["message"] == str(ERROR)


def test_a_deleted_object_with_an_invalid_spec_is_let_go() -> None:
    """Nobody could clean up for it; kept, it would hold its namespace for ever."""
    body = queue_body()
    body["metadata"] |= {
        "deletionTimestamp": "2026-11-24T07:00:00Z",
        "finalizers": ["windlass.dev/cleanup"],
    }
    event, let_go = reduce_invalid(body, ERROR, NOW_S).actions

    assert isinstance(event, EmitEvent)
    assert event.reason == EventReason.CLEANUP_ABANDONED
    assert let_go == SetFinalizer(present=False)

    body["metadata"]["finalizers"] = ["somebody.else/x"]
    assert reduce_invalid(body, ERROR, NOW_S).actions == ()


def test_a_child_that_is_refused_is_said_with_the_servers_words_and_nothing_else_is_done() -> None:
    fine = [
        Condition(type="Ready", status=True, reason="AsExpected"),
        Condition(type="Paused", status=False, reason="AsExpected"),
    ]
    status = {"observedGeneration": 3, "conditions": merged([], fine, 3, NOW_S)}
    plan = Plan(actions=(SetReplicas(deployment="emails", replicas=1), SetStatus(status=status)))
    said = without_refused(plan, {}, "422 spec.template.spec.cpu: unknown field", NOW_S)

    assert [type(action) for action in said.actions] == [SetStatus]
    condition = ready(said)
    assert condition["reason"] == ConditionReason.CHILD_REFUSED
    assert "unknown field" in condition["message"]
    assert "podTemplate" in condition["message"]

    first = next(a.status for a in said.actions if isinstance(a, SetStatus))
    assert [c["type"] for c in first["conditions"]] == ["Ready", "Paused"]
    again = without_refused(plan, first, "422 again", NOW_S + 60)
    assert ready(again)["lastTransitionTime"] == timestamp(NOW_S)
