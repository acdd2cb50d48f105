"""Which of a pool's queues it can serve, and on which broker. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from windlass_operator.conditions import Condition
from windlass_operator.observed import BrokerError, PoolObserved, QueueView
from windlass_operator.reasons import ConditionReason, ConditionType


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The queues that the pool's workers are given, in order, and what is wrong with the others.

    Attributes:
        counted: Queues whose work counts: those, and the ones whose broker has trouble.
        is_settled: Where every declared queue lives was found out. Otherwise nothing is rolled
            out: the workers would be started anew without a queue that is back in a moment.
    """

    views: tuple[QueueView, ...]
    problems: tuple[Condition, ...]
    counted: tuple[QueueView, ...] = ()
    is_settled: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names on the broker."""
        return tuple(view.queue.queue_name for view in self.views if view.queue is not None)


def served_queues(observed: PoolObserved) -> Served:
    """Sort a pool's queues out.

    A missing or unusable queue does not stop the others. A broker that does not answer keeps its
    queues served: what runs there goes on, and comes back by itself.
    """
    views: list[QueueView] = []
    counted: list[QueueView] = []
    problems: list[Condition] = []
    for view in observed.queues:
        problem = _problem(view, views)
        if problem is None:
            views.append(view)
        else:
            problems.append(problem)
        if problem is None or (
            view.queue is not None and not view.conflict and is_in_trouble(view)
        ):
            counted.append(view)
    if not views:
        problems.insert(
            0,
            _not_ready(
                ConditionReason.NO_USABLE_QUEUE,
                "none of its queues can be served; workers are left as they are",
            ),
        )
    return Served(
        views=tuple(views),
        problems=tuple(problems),
        counted=tuple(counted),
        is_settled=not any(view.queue is not None and _is_open(view) for view in observed.queues),
    )


def is_in_trouble(view: QueueView) -> bool:
    """Whether the queue's broker is not known, or cannot be used."""
    return view.broker is None or view.broker.error is not None


def _is_open(view: QueueView) -> bool:
    broker = view.broker
    if broker is None:
        return True
    return broker.error is BrokerError.UNREACHABLE and not broker.broker_id


def _problem(view: QueueView, served: list[QueueView]) -> Condition | None:
    if view.queue is None:
        return _not_ready(
            ConditionReason.QUEUE_NOT_DECLARED,
            f"TaskQueue {view.ref!r} is not in this namespace. Apply it, or take it out of "
            "spec.queues; the pool serves its other queues meanwhile.",
        )
    if view.conflict:
        return _not_ready(
            ConditionReason.QUEUE_NAME_CONFLICT,
            f"TaskQueue {view.ref!r} has the same queue name and broker as {view.conflict!r}.",
        )
    if view.broker is None:
        return _not_ready(ConditionReason.NO_USABLE_QUEUE, f"{view.ref!r} has no broker yet.")
    if view.broker.error is not None and view.depth is None and not view.broker.broker_id:
        return _not_ready(str(view.broker.error), f"{view.ref!r}: {view.broker.detail}")
    first = served[0].broker if served else None
    if first is not None and first.broker_id != view.broker.broker_id:
        return _not_ready(
            ConditionReason.BROKERS_DIFFER,
            f"TaskQueue {view.ref!r} lives on another broker than {served[0].ref!r}. A worker has "
            "one broker: make a second WorkerPool for it.",
        )
    return None


def _not_ready(reason: str, message: str) -> Condition:
    return Condition(type=ConditionType.READY, status=False, reason=reason, message=message)
