"""Parked messages as demand: once for each template, until a worker of it was there. Pure.

A message is parked because the workers that met it do not know its task. A pool at zero whose
image is new may know it, and nobody could tell without starting it: so parked messages count as one
task until a worker of the newest template has been up. What is still parked then it does not know.
"""

from __future__ import annotations

from dataclasses import dataclass

from windlass_operator.observed import PoolObserved, QueueView

#: A worker has looked at the parked messages of its queues by then: it does with its first fetch.
TRY_S = 10.0
#: Names remembered; the schema's bound of status.unknownTasks.
MOST_TASKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What is known of a template's workers.

    Attributes:
        version: Hash of the template.
        tasks: Parked tasks that they do not know.
        since_s: Since when one of them is up, None while none is.
    """

    version: str = ""
    tasks: frozenset[str] = frozenset()
    since_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The queues with parked messages that count as a task, and what to remember."""

    queues: frozenset[str]
    tried: Tried


def look_at_parked(
    observed: PoolObserved, before: Tried | None, version: str, now_s: float
) -> Trial:
    """Decide which queues' parked messages a worker of this template may know.

    Args:
        observed: The pool.
        before: As remembered; None begins with what the status says.
        version: Hash of the wanted template; '' while there is none, which tries nothing.
        now_s: The instant.
    """
    known = _from_status(observed) if before is None else before
    if not version:
        return Trial(queues=frozenset(), tried=known)
    if known.version != version:
        known = Tried(version=version)
    since_s = _up_since(observed, known, now_s)
    parked = {view.ref: _tasks(view) for view in observed.queues}
    tasks = known.tasks
    if since_s is not None and now_s - since_s >= TRY_S:
        met = frozenset().union(*parked.values())
        # New names push old ones out: what is parked now is what counts.
        tasks = frozenset(sorted(tasks | met, key=lambda t: (t not in met, t))[:MOST_TASKS])
    untried = frozenset(ref for ref, names in parked.items() if names - tasks)
    return Trial(queues=untried, tried=Tried(version=version, tasks=tasks, since_s=since_s))


def _from_status(observed: PoolObserved) -> Tried:
    status = observed.pool.status
    return Tried(
        version=status.get("templateHash", ""), tasks=frozenset(status.get("unknownTasks", ()))
    )


def _up_since(observed: PoolObserved, known: Tried, now_s: float) -> float | None:
    """Since when a worker of the template takes messages."""
    pods = {pod.name for pod in observed.pods if pod.version == known.version}
    is_up = any(
        worker.host in pods and not worker.draining and not worker.cordoned_since_ms
        for worker in observed.workers
    )
    if not is_up:
        return None
    return now_s if known.since_s is None else min(known.since_s, now_s)


def _tasks(view: QueueView) -> frozenset[str]:
    """Names that are parked in a queue that hands something out."""
    is_open = view.queue is not None and not view.queue.spec.paused and not view.conflict
    if not is_open or view.aside is None or view.depth is None or not view.depth.parked:
        return frozenset()
    return frozenset(list(view.aside.tasks)[:MOST_TASKS])
