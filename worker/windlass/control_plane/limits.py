"""Limits of tasks: what they may use, who uses it now, and what a message waits for.

Workers declare the limits of their tasks at start; `set_limits` goes before that, for every worker
at once and until `unset_limits`. The broker holds to them when it hands work out.
Next in the walk: `windlass.redis_store.lua.lib.limits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.limit_readers import Reader, reader_of
from windlass.errors import ConfigurationError, nearest
from windlass.rate_limits import rate_text

#: Names of limits here -> as the broker keeps them.
_SHORT = {
    "rate_limit": "rate",
    "max_concurrency": "max",
    "max_concurrency_per_key": "per_key",
    "fair_share": "fair",
    "has_key": "keyed",
}
_MOST = 1_000_000
_KINDS = {"r": "task_rate", "c": "task_concurrency", "k": "key_concurrency"}


class TaskLimits(msgspec.Struct, kw_only=True, frozen=True):
    """What one task may use, of all workers together.

    Attributes:
        rate_limit: "10/s", "100/m", "5/h"; None for no limit.
        max_concurrency: Runs at once; None for no limit.
        max_concurrency_per_key: Runs at once of one key (`limit_key`); None for no limit.
        fair_share: Keys take turns.
        has_key: Its calls have keys (`limit_key`): workers find those that senders leave out.
    """

    rate_limit: str | None = None
    max_concurrency: int | None = None
    max_concurrency_per_key: int | None = None
    fair_share: bool = False
    has_key: bool = False

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to hold to."""
        return self != TaskLimits()


class LimitView(msgspec.Struct, kw_only=True, frozen=True):
    """One task's limits, where they come from, and what is used.

    Attributes:
        limits: What holds.
        declared: What workers declare.
        overridden: Names of the limits that `set_limits` changed.
        running: Messages that have a slot of the task now; 0 where nothing counts them.
        waiting: Messages of the task that are blocked, in all queues.
    """

    task: str
    limits: TaskLimits
    declared: TaskLimits
    overridden: tuple[str, ...] = ()
    running: int = 0
    waiting: int = 0


class BlockedBy(msgspec.Struct, kw_only=True, frozen=True):
    """A limit that holds a message back.

    Attributes:
        gate: The name of what has no room: a task, a task and a key, or a queue.
        kind: "task_rate", "task_concurrency", "key_concurrency", "turn" (its key waits for its
            turn), "queue_rate", "queue_concurrency" or "paused".
        limit: As it was set: "10/s", or how many at once; None where it has been taken away.
        in_use: How many of it are used now; None for rates.
        next_at_ms: When there is room again, the broker's clock; None: when one ends.
        ahead: Messages that wait before it.
    """

    gate: str
    kind: str
    limit: str | int | None = None
    in_use: int | None = None
    next_at_ms: int | None = None
    ahead: int = 0


def list_limits(broker: RedisBroker | MemoryBroker) -> list[LimitView]:
    """Return every task that has limits, or messages that wait for them, by name."""
    reader = reader_of(broker)
    given = reader.given()
    waiting = reader.waiting_by_task()
    found = []
    for task in sorted({name[1:] for name in given} | waiting.keys()):
        declared, set_ = given.get(f"d{task}", {}), given.get(f"s{task}", {})
        found.append(
            LimitView(
                task=task,
                limits=_limits_of({**declared, **set_}),
                declared=_limits_of(declared),
                overridden=tuple(name for name, short in _SHORT.items() if short in set_),
                running=reader.used(f"c{task}"),
                waiting=waiting.get(task, 0),
            )
        )
    return found


def declare_limits(
    broker: RedisBroker | MemoryBroker, limits: Mapping[str, TaskLimits]
) -> list[str]:
    """Tell the broker what tasks declare; a worker does it at start. Returns what has changed."""
    reader = reader_of(broker)
    given = reader.given()
    changed = {
        task: spec
        for task, each in limits.items()
        if (spec := _declared(each)) != given.get(f"d{task}", {})
    }
    reader.give("d", changed)
    return sorted(changed)


def set_limits(broker: RedisBroker | MemoryBroker, task: str, **changes: Any) -> TaskLimits:
    """Change limits of a task for all workers, at once and until `unset_limits`.

    Args:
        broker: Where.
        task: Its name.
        **changes: Fields of `TaskLimits`; None and False take a declared limit away.

    Raises:
        ConfigurationError: An unknown field, or a value out of its range.
    """
    checked = {_short(name): check_limit(name, value) for name, value in changes.items()}
    reader = reader_of(broker)
    given = reader.given()
    before = given.get(f"s{task}", {})
    reader.give("s", {task: {**before, **checked}})
    return _limits_of({**given.get(f"d{task}", {}), **before, **checked})


def unset_limits(broker: RedisBroker | MemoryBroker, task: str, *names: str) -> TaskLimits:
    """Go back to what workers declare; of the limits named, or of all. Returns what holds then."""
    drop = {_short(name) for name in names or _SHORT}
    reader = reader_of(broker)
    given = reader.given()
    kept = {name: each for name, each in given.get(f"s{task}", {}).items() if name not in drop}
    reader.give("s", {task: kept})
    return _limits_of({**given.get(f"d{task}", {}), **kept})


def why_blocked(broker: RedisBroker | MemoryBroker, message_id: str) -> list[BlockedBy]:
    """Return what holds a waiting message back, what it waits at first; nothing if nothing does."""
    reader = reader_of(broker)
    found = reader.find(message_id)
    if found is None or found.is_leased:
        return []
    reasons = []
    spec = reader.spec(found.task)
    for gate in _gates(found.gate, found.task, found.key, spec):
        reason = _gate_reason(reader, gate, found.queue, found.ahead if gate == found.gate else 0)
        if reason is not None or gate == found.gate:
            reasons.append(reason or BlockedBy(gate=gate[1:], kind="turn", ahead=found.ahead))
    return [*reasons, *_queue_reasons(reader, found.queue)]


def check_limit(name: str, value: Any) -> str | int | bool | None:
    """Return the value of a limit as it is kept; None for no limit.

    Raises:
        ConfigurationError: It is ill-typed, or out of its range.
    """
    if name == "rate_limit":
        return rate_text(value)
    if value is None or value is False:
        return None
    if name in ("fair_share", "has_key"):
        if value is True:
            return True
        raise ConfigurationError(f"{name}={value!r}; expected True or False.")
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ConfigurationError(
            f"{name}={value!r}; expected a whole number from 1 to {_MOST:,}, or None for no limit."
        )
    return value


def _short(name: str) -> str:
    if name not in _SHORT:
        raise ConfigurationError(
            f"Unknown limit {name!r}.{nearest(name, _SHORT)} Expected one of: {', '.join(_SHORT)}."
        )
    return _SHORT[name]


def _declared(limits: TaskLimits) -> dict[str, Any]:
    named = {short: check_limit(name, getattr(limits, name)) for name, short in _SHORT.items()}
    return {name: value for name, value in named.items() if value is not None}


def _limits_of(spec: Mapping[str, Any]) -> TaskLimits:
    return TaskLimits(
        rate_limit=spec.get("rate"),
        max_concurrency=spec.get("max"),
        max_concurrency_per_key=spec.get("per_key"),
        fair_share=bool(spec.get("fair")),
        has_key=bool(spec.get("keyed")),
    )


def _gates(first: str, task: str, key: str, spec: Mapping[str, Any]) -> list[str]:
    """Return the gates of a message, the one that it waits at before the others."""
    gates = [first] if first else []
    if spec.get("per_key") and key:
        gates.append(f"k{key}\t{task}")
    gates += [kind + task for kind, name in (("c", "max"), ("r", "rate")) if spec.get(name)]
    return list(dict.fromkeys(gates))


def _gate_reason(reader: Reader, gate: str, queue: str, ahead: int) -> BlockedBy | None:
    """Return why a gate is shut, None if it has room."""
    kind, (key, tab, task) = gate[0], gate[1:].partition("\t")
    spec = reader.spec(task if tab else key)
    named = f"{task}[{key}]" if tab else key
    if kind == "r":
        limit, used, next_at = spec.get("rate"), None, reader.next_token(gate, spec.get("rate"))
        is_shut = next_at is not None
    else:
        limit, used, next_at = (
            spec.get("max" if kind == "c" else "per_key"),
            reader.used(gate),
            None,
        )
        is_shut = limit is not None and used >= limit
    if not is_shut:
        return None
    return BlockedBy(
        gate=named, kind=_KINDS[kind], limit=limit, in_use=used, next_at_ms=next_at, ahead=ahead
    )


def _queue_reasons(reader: Reader, queue: str) -> list[BlockedBy]:
    record, found = reader.record(queue), []
    if record.get("paused"):
        found.append(BlockedBy(gate=queue, kind="paused"))
    if (most := record.get("max_concurrency")) and (used := reader.leased(queue)) >= most:
        found.append(BlockedBy(gate=queue, kind="queue_concurrency", limit=most, in_use=used))
    rate = record.get("rate_limit")
    if (next_at := reader.next_of_queue(queue, rate)) is not None:
        found.append(BlockedBy(gate=queue, kind="queue_rate", limit=rate, next_at_ms=next_at))
    return found
