"""What is shown of queues and pools: one row each, in the words of their status. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from windlass_operator.models.quantities import short_age
from windlass_operator.models.workerpool import Autoscaling
from windlass_operator.observe import World
from windlass_operator.pool_scaling import demand_of
from windlass_operator.scaling.demand import limits_felt
from windlass_operator.store import Key, Store

_RATE_OVER_S = 3.0
#: Whether a limit is felt is said of the queue alone, whatever pool serves it.
_SIZING = Autoscaling(max_replicas=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRow:
    """One queue. Counts are None while its broker has not been read."""

    name: str
    waiting: int | None = None
    running: int | None = None
    scheduled: int | None = None
    dead: int | None = None
    done: int | None = None
    rate: float = 0.0
    oldest: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """One pool.

    Attributes:
        current: Workers there, those that are ending too.
        words: Why it is not as wanted, else why it is as it is.
        is_well: Nobody has to do anything about it.
    """

    name: str
    desired: int = 0
    current: int = 0
    ready: int = 0
    busy: int = 0
    slots: int = 0
    reason: str = ""
    words: str = ""
    is_well: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything at one instant."""

    queues: tuple[QueueRow, ...] = ()
    pools: tuple[PoolRow, ...] = ()


@dataclass(slots=True)
class Rates:
    """How many messages a second each queue completes, over the last seconds."""

    _seen: dict[Key, deque[tuple[float, int]]] = field(default_factory=dict)

    def of(self, key: Key, completed: int, now_s: float) -> float:
        """Take a newer total in and return the rate."""
        seen = self._seen.setdefault(key, deque())
        seen.append((now_s, completed))
        while len(seen) > 2 and seen[1][0] < now_s - _RATE_OVER_S:
            seen.popleft()
        took_s = now_s - seen[0][0]
        return (completed - seen[0][1]) / took_s if took_s > 0 else 0.0


def snapshot(world: World | None, store: Store, rates: Rates, now_s: float) -> Snapshot:
    """Describe the newest look at everything."""
    if world is None:
        return Snapshot()
    named = _namer({key[0] for key in (*world.queues, *world.pools)})
    return Snapshot(
        queues=tuple(_queue_row(world, store, rates, key, named(key), now_s)
                     for key in world.queues),
        pools=tuple(_pool_row(store, key, named(key)) for key in world.pools),
    )  # fmt: skip


def _namer(namespaces: set[str]) -> Any:
    """Names need their namespace only where there are several."""
    return (lambda key: key[1]) if len(namespaces) < 2 else "/".join


def _queue_row(
    world: World, store: Store, rates: Rates, key: Key, name: str, now_s: float
) -> QueueRow:
    view = world.views.get(key)
    words = _trouble(_status(store, "TaskQueue", key))
    if world.queues[key].spec.paused:
        words = words or "paused"
    if view is None or view.depth is None:
        return QueueRow(name=name, words=words)
    depth = view.depth
    words = words or ", ".join(limits_felt(demand_of(view, _SIZING)))
    return QueueRow(
        name=name,
        waiting=depth.open + depth.parked + depth.blocked,
        running=depth.leased,
        scheduled=depth.scheduled,
        dead=depth.dead,
        done=depth.completed,
        rate=rates.of(key, depth.completed, now_s),
        oldest=short_age(depth.oldest_ms / 1000) if depth.oldest_ms else "",
        words=words,
    )


def _pool_row(store: Store, key: Key, name: str) -> PoolRow:
    status = _status(store, "WorkerPool", key)
    trouble = _trouble(status)
    scaling = status.get("scaling") or {}
    deployments = list(store.children("Deployment", *key))
    ready = _condition(status, "Ready")
    return PoolRow(
        name=name,
        desired=status.get("desiredReplicas", 0),
        current=len(list(store.children("Pod", *key))),
        ready=sum(body["status"]["readyReplicas"] for body in deployments),
        busy=status.get("busySlots", 0),
        slots=status.get("slots", 0),
        reason=str(ready.get("reason", "")) if trouble else str(scaling.get("reason", "")),
        words=trouble or str(scaling.get("message", "")),
        is_well=not trouble,
    )


def _status(store: Store, kind: str, key: Key) -> Mapping[str, Any]:
    return (store.get(kind, *key) or {}).get("status") or {}


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (each for each in status.get("conditions", ()) if each["type"] == kind)
    return next(found, {})


def _trouble(status: Mapping[str, Any]) -> str:
    """Return what somebody has to act on, '' for nothing; on its way is no trouble."""
    for kind, bad in (("Degraded", "True"), ("Ready", "False")):
        condition = _condition(status, kind)
        if condition.get("status") == bad and condition.get("reason") != "RollingOut":
            return f"{condition['reason']}: {condition['message']}"
    return ""
