"""Why nothing of a queue is taken, or not yet this message: reasons from facts. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from windlass.control_plane.heartbeats import WorkerStatus
from windlass.control_plane.limits import BlockedBy
from windlass.control_plane.spans import age, moment
from windlass.control_plane.why_facts import MOST_AHEAD, Facts, Queue
from windlass.control_plane.why_reasons import Cause, Reason


def queue_reasons(facts: Facts) -> Iterator[Reason]:
    """Say what keeps a message that is ready from being taken, the foremost first."""
    queue = facts.queue
    if queue is None:
        return
    yield from closed_reasons(queue)
    yield from limit_reasons(facts)
    yield from _ahead(facts, queue)
    yield from _slots(queue)


def closed_reasons(queue: Queue) -> Iterator[Reason]:
    """Say why nothing at all of a queue is taken; also what is not ready yet feels it later."""
    if queue.record.paused:
        yield Reason(
            cause=Cause.QUEUE_PAUSED,
            text=f"Queue {queue.name} is paused: workers take nothing from it. `windlass queues "
            f"set {queue.name} --no-paused` (or spec.paused of its TaskQueue) opens it.",
        )
    if not queue.workers:
        yield Reason(
            cause=Cause.NO_WORKER,
            text=f"No worker serves queue {queue.name}. Start one with -Q {queue.name}; in "
            "Kubernetes, see the WorkerPools that name it: `kubectl get wp`.",
        )
    elif not _open(queue):
        yield Reason(
            cause=Cause.WORKERS_CORDONED,
            text=f"{_count(len(queue.workers), 'worker')} of queue {queue.name} "
            f"{'is' if len(queue.workers) == 1 else 'are'} told to take nothing more: a "
            "scale-down, a rollout or a shutdown is under way.",
            facts={"workers": [worker.hostname for worker in queue.workers]},
        )


def _open(queue: Queue) -> list[WorkerStatus]:
    """The workers that take messages."""
    return [w for w in queue.workers if not w.draining and not w.cordoned_since_ms]


def limit_reasons(facts: Facts) -> Iterator[Reason]:
    """Say which limits have no room for it, what it waits at first."""
    for gate in facts.blocked:
        if gate.kind != "paused":  # `closed_reasons` says it
            yield _limited(gate, facts.now_ms)


def _limited(gate: BlockedBy, now_ms: int) -> Reason:
    subject = f"queue {gate.gate}" if gate.kind.startswith("queue_") else gate.gate
    cause = Cause.LIMITED
    if gate.kind.endswith("_rate"):
        text = f"The rate limit of {subject} ({gate.limit}) lets no more begin for now"
        if gate.next_at_ms:
            soon = age(max(1, gate.next_at_ms - now_ms))
            text += f"; the next may at {moment(gate.next_at_ms)}, in {soon}"
    elif gate.kind.endswith("_concurrency"):
        text = f"Of {subject} {gate.limit} may run at once, and {gate.in_use} do"
    elif gate.kind == "turn":
        cause = Cause.NOT_ITS_TURN
        text = f"Keys of {subject.partition(chr(9))[0]} take turns, and those of others come first"
    else:
        text = f"A limit of {subject} has no room ({gate.limit})"
    if gate.ahead:
        text += f"; {gate.ahead:,} that wait for the same come first"
    facts = {name: value for name, value in msgspec.structs.asdict(gate).items() if value}
    return Reason(cause=cause, text=f"{text}.", facts=facts)


def _ahead(facts: Facts, queue: Queue) -> Iterator[Reason]:
    ahead = facts.ahead
    if not ahead:
        return
    number = f"{ahead:,}" if ahead < MOST_AHEAD else f"{MOST_AHEAD:,} or more"
    verb = "comes" if ahead == 1 else "come"
    yield Reason(
        cause=Cause.OTHERS_FIRST,
        text=f"{number} other {'message' if ahead == 1 else 'messages'} of queue {queue.name} "
        f"{verb} first.",
        facts={"ahead": ahead, "is_exact": ahead < MOST_AHEAD, "priority": facts.priority},
    )


def _slots(queue: Queue) -> Iterator[Reason]:
    workers = _open(queue)
    slots = sum(w.slots for w in workers)
    # Heartbeats are some seconds old; what is leased takes a slot, or will.
    busy = max(sum(w.busy for w in workers), min(slots, queue.leased))
    if workers and slots and busy >= slots:
        which = "The only slot" if slots == 1 else f"All {slots:,} slots"
        yield Reason(
            cause=Cause.SLOTS_BUSY,
            text=f"{which} of {_count(len(workers), 'worker')} of queue {queue.name} "
            f"{'is' if slots == 1 else 'are'} busy. More workers or slots would take it sooner; "
            "in Kubernetes, see whether the pool is at maxReplicas: `kubectl get wp -o wide`.",
            facts={"slots": slots, "busy": busy, "workers": len(workers)},
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
