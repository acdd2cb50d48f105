"""A TaskQueue as observed -> what to do: its record on the broker, its binding Secret, its status.

Deletion is bounded: what the broker does not do within a minute is let go, with a warning, so
that a namespace is never held by a broker that is down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from windlass_operator.conditions import Condition, merged, timestamp
from windlass_operator.desired import names
from windlass_operator.desired.binding_secret import desired_binding_secret
from windlass_operator.models.quantities import short_age
from windlass_operator.models.taskqueue import DeletionPolicy
from windlass_operator.observed import BrokerError, QueueObserved
from windlass_operator.plan import (
    Action,
    ApplyObject,
    EmitEvent,
    Plan,
    PurgeQueue,
    SetFinalizer,
    SetStatus,
    WriteRecord,
)
from windlass_operator.pool_status import rounded
from windlass_operator.queue_aside import dead_letter_events, dead_letters, no_capable_worker
from windlass_operator.reasons import ConditionReason, ConditionType, EventReason

#: Cleaning up on a broker that does not answer is given up after so long.
CLEANUP_S = 60.0
#: The schema's bound of status.pools.
MOST_POOLS = 64


def reduce_queue(observed: QueueObserved, now_s: float) -> Plan:
    """Decide everything about one TaskQueue."""
    if observed.queue.identity.is_deleting:
        return Plan(actions=_cleanup(observed, now_s))
    actions: list[Action] = []
    wants_finalizer = observed.queue.spec.deletion_policy is DeletionPolicy.PURGE
    if wants_finalizer != (names.FINALIZER in observed.queue.identity.finalizers):
        actions.append(SetFinalizer(present=wants_finalizer))
    if not observed.view.conflict:
        actions += _record(observed)
        actions += _binding(observed)
    actions += _broker_events(observed)
    actions += dead_letter_events(observed)
    actions.append(SetStatus(status=desired_queue_status(observed, now_s)))
    return Plan(actions=tuple(actions))


def _cleanup(observed: QueueObserved, now_s: float) -> tuple[Action, ...]:
    if names.FINALIZER not in observed.queue.identity.finalizers:
        return ()
    broker = observed.view.broker
    let_go = SetFinalizer(present=False)
    if observed.view.conflict:
        return (let_go,)  # what waits there is the older one's
    is_over = now_s - (observed.queue.identity.deleted_s or now_s) >= CLEANUP_S
    if broker is not None and broker.error is None and not is_over:
        event = EmitEvent(reason=EventReason.PURGED, message="What waited in it was deleted.")
        return (PurgeQueue(queue=observed.queue.queue_name), event, let_go)
    if not is_over:
        return ()
    event = EmitEvent(
        reason=EventReason.CLEANUP_ABANDONED,
        message=f"Purging did not succeed within {CLEANUP_S:g} s "
        f"({(broker.detail or 'the broker refused') if broker else 'its broker is unknown'}); "
        "waiting messages may be there still.",
        is_warning=True,
    )
    return (event, let_go)


def wanted_record(observed: QueueObserved) -> dict[str, Any]:
    """The fields of the queue record that the spec decides."""
    spec = observed.queue.spec
    dead = spec.dead_letter
    return {
        "paused": spec.paused,
        "max_deliveries": spec.max_deliveries,
        "dead_retention_s": int(dead.retention),
        "park_limit_s": int(dead.parked_after),
        "dead_expired": dead.expired,
        "dead_failed": dead.failed,
        "rate_limit": spec.rate_limit,
        "max_concurrency": spec.max_concurrency,
    }


def _record(observed: QueueObserved) -> tuple[Action, ...]:
    if observed.record is None:
        return ()  # the broker could not be read: the next tick sees
    wanted = wanted_record(observed)
    changes = {key: value for key, value in wanted.items() if observed.record.get(key) != value}
    if not changes:
        return ()
    return (WriteRecord(queue=observed.queue.queue_name, changes=changes),)


def _binding(observed: QueueObserved) -> tuple[Action, ...]:
    if observed.binding is None or observed.binding_exists:
        return ()
    manifest = desired_binding_secret(
        observed.queue, observed.binding["url"], observed.binding["keyspace"]
    )
    return (ApplyObject(manifest=manifest),)


def _broker_events(observed: QueueObserved) -> tuple[Action, ...]:
    """News of the broker: when it fails, and when it is back."""
    broker = observed.view.broker
    if broker is None or observed.view.conflict:
        return ()
    stored = observed.queue.status.get("conditions", ())
    before = next((c.get("reason") for c in stored if c.get("type") == ConditionType.READY), None)
    had_failed = before in set(BrokerError)
    if broker.error is not None and before != broker.error:
        reason = EventReason.BROKER_UNREACHABLE
        return (EmitEvent(reason=reason, message=broker.detail, is_warning=True),)
    if broker.error is None and had_failed:
        reason = EventReason.BROKER_RECOVERED
        return (EmitEvent(reason=reason, message="The broker can be used again."),)
    return ()


def desired_queue_status(observed: QueueObserved, now_s: float) -> dict[str, Any]:
    """Build the status."""
    queue, depth = observed.queue, observed.view.depth
    broker = observed.view.broker
    generation = queue.identity.generation
    result: dict[str, Any] = {
        "observedGeneration": generation,
        "queueName": queue.queue_name,
        "keyspace": broker.keyspace if broker else None,
        "pools": sorted(observed.pools)[:MOST_POOLS],
    }
    if observed.binding is not None:
        result["binding"] = {"name": names.binding_name(queue.identity.name)}
    if depth is not None:
        result |= {
            "backlog": rounded(depth.backlog),
            "running": depth.started,
            "scheduled": rounded(depth.scheduled),
            "parked": depth.parked,
            "dead": depth.dead,
            "deadLetters": dead_letters(observed) or None,
            "blocked": rounded(depth.blocked) or None,
            "oldest": short_age(depth.oldest_ms / 1000) if depth.oldest_ms else None,
            "nextDueTime": timestamp(depth.next_due_ms / 1000) if depth.next_due_ms else None,
        }
    current: Mapping[str, Any] = queue.status
    result["conditions"] = merged(
        current.get("conditions", ()), queue_conditions(observed), generation, now_s
    )
    return {key: value for key, value in result.items() if value is not None}


def queue_conditions(observed: QueueObserved) -> list[Condition]:
    """Build the conditions, Ready first."""
    conditions = [_ready(observed), _paused(observed)]
    depth = observed.view.depth
    if depth is not None and depth.parked:
        conditions.append(no_capable_worker(observed))
    else:
        conditions.append(
            Condition(type=ConditionType.DEGRADED, status=False, reason=ConditionReason.AS_EXPECTED)
        )
    return conditions


def _ready(observed: QueueObserved) -> Condition:
    ready, broker = ConditionType.READY, observed.view.broker
    if observed.view.conflict:
        return Condition(
            type=ready,
            status=False,
            reason=ConditionReason.QUEUE_NAME_CONFLICT,
            message=f"TaskQueue {observed.view.conflict!r}, which is older, has the same queue "
            "name on the same broker. Give this one another spec.queueName, or delete it.",
        )
    if broker is None:
        return Condition(
            type=ready,
            status=None,
            reason=ConditionReason.BROKER_UNKNOWN,
            message="The broker is not read yet.",
        )
    if broker.error is not None:
        return Condition(type=ready, status=False, reason=broker.error, message=broker.detail)
    return Condition(
        type=ready,
        status=True,
        reason=ConditionReason.AS_EXPECTED,
        message=" ".join(broker.warnings),
    )


def _paused(observed: QueueObserved) -> Condition:
    is_paused = observed.queue.spec.paused
    return Condition(
        type=ConditionType.PAUSED,
        status=is_paused,
        reason=ConditionReason.PAUSED_BY_USER if is_paused else ConditionReason.AS_EXPECTED,
        message="spec.paused: workers take nothing; sending goes on." if is_paused else "",
    )
