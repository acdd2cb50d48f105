"""Children that somebody changed by hand are set back: once a change, and not for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from operator_builders import NOW_S, make_observed, make_pool
from windlass_operator import pool_children
from windlass_operator.field_owners import taken_fields
from windlass_operator.observed import ChildView, PoolObserved
from windlass_operator.plan import ApplyObject, EmitEvent, Plan
from windlass_operator.pool_children import MOST_FIGHTS, TRUCE_S
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.readings import read_child
from windlass_operator.reasons import EventReason
from windlass_operator.reduce_pool import reduce_pool

KEY = ("ServiceAccount", "emails-worker")


def owned_by(value: Any) -> Any:
    """All of a manifest as managed fields, for lists without keys."""
    return {f"f:{k}": owned_by(v) for k, v in value.items()} if isinstance(value, dict) else {}


def child_of(body: dict[str, Any]) -> ChildView:
    return read_child(msgspec.json.encode(body), None)


def made(paused: bool = False) -> PoolObserved:
    """A pool whose children were applied as they are wanted."""
    observed = make_observed(make_pool(replicas=1, queues=[{"name": "emails"}]))
    children: dict[tuple[str, str], ChildView] = {}
    for action in reduce_pool(observed, PoolMemory(), NOW_S).plan.actions:
        if isinstance(action, ApplyObject) and action.manifest["kind"] == KEY[0]:
            metadata = {**action.manifest["metadata"], "resourceVersion": "1"}
            children[KEY] = child_of({**action.manifest, "metadata": metadata})
    pool = make_pool(replicas=1, paused=paused)
    return replace(observed, pool=pool, children=children)


def edited(observed: PoolObserved, version: str) -> PoolObserved:
    """Somebody has taken one field."""
    body = observed.children[KEY].body()
    owned = owned_by({k: v for k, v in body.items() if k != "automountServiceAccountToken"})
    owned["f:metadata"]["f:ownerReferences"] = {'k:{"uid":"uid-emails"}': {}}
    entry = {"manager": "windlass-operator", "operation": "Apply", "fieldsV1": owned}
    metadata = {**body["metadata"], "resourceVersion": version, "managedFields": [entry]}
    child = child_of({**body, "metadata": metadata})
    return replace(observed, children={**observed.children, KEY: child})


def corrections(plan: Plan) -> list[Any]:
    return [
        action
        for action in plan.actions
        if (isinstance(action, ApplyObject) and action.manifest["kind"] == KEY[0])
        or (isinstance(action, EmitEvent) and action.reason == EventReason.CHILD_CORRECTED)
    ]


def test_what_nobody_changed_is_not_written() -> None:
    outcome = reduce_pool(made(), PoolMemory(), NOW_S)

    assert corrections(outcome.plan) == []


def test_a_change_by_hand_is_set_back_and_said() -> None:
    apply, event = corrections(reduce_pool(edited(made(), "2"), PoolMemory(), NOW_S).plan)

    assert apply.manifest["automountServiceAccountToken"] is False
    assert event.message.startswith(
        "ServiceAccount emails-worker was changed by somebody else and is set back: "
        "automountServiceAccountToken."
    )


def test_what_setting_back_does_not_change_is_set_back_once() -> None:
    memory = PoolMemory()
    found = 0
    for tick in range(50):
        outcome = reduce_pool(edited(made(), "2"), memory, NOW_S + tick)
        memory, found = outcome.memory, found + len(corrections(outcome.plan))

    assert found == 2  # one apply, one event


def test_each_change_is_set_back() -> None:
    memory = PoolMemory()
    for tick in range(MOST_FIGHTS):
        outcome = reduce_pool(edited(made(), f"{tick}"), memory, NOW_S + tick)
        memory = outcome.memory
        assert corrections(outcome.plan)


def test_who_does_not_give_in_is_fought_now_and_then_only() -> None:
    memory, times = PoolMemory(), []
    for tick in range(int(3 * TRUCE_S)):
        outcome = reduce_pool(edited(made(), f"{tick}"), memory, NOW_S + tick)
        memory = outcome.memory
        if corrections(outcome.plan):
            times.append(tick)

    assert times[: MOST_FIGHTS + 1] == [0, 1, 2, int(2 + TRUCE_S)]
    assert len(times) == 3 * MOST_FIGHTS


def test_a_body_that_was_found_right_is_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand pools are looked at every few seconds."""
    looked: list[str] = []

    def look(manifest: Any, body: Any, manager: str) -> list[str]:
        looked.append(body["metadata"]["resourceVersion"])
        return taken_fields(manifest, body, manager)

    monkeypatch.setattr(pool_children, "taken_fields", look)
    memory = PoolMemory()
    for tick, world in enumerate([made(), made(), edited(made(), "2"), made(), made()]):
        memory = reduce_pool(world, memory, NOW_S + tick).memory

    assert looked == ["1", "2", "1"]


def test_a_paused_pool_may_be_changed_by_hand() -> None:
    outcome = reduce_pool(edited(made(paused=True), "2"), PoolMemory(), NOW_S)

    assert corrections(outcome.plan) == []
