"""Why a task is not running, or how it ended: what the broker knows, its outcome, and who has it.

Two looks at the broker; workers are asked only about a message that one of them has.
Next in the walk: `windlass.control_plane.why_reading`, then `windlass.control_plane.explain`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from windlass.control_plane.explain import explain
from windlass.control_plane.history import Attempt
from windlass.control_plane.why_facts import Facts, Holder, Outcome
from windlass.control_plane.why_reading import read_facts
from windlass.control_plane.why_reasons import Cause, Reason
from windlass.errors import WindlassError
from windlass.remote_calls import Inspect
from windlass.states import PENDING, READY_STATES, Stage

if TYPE_CHECKING:
    from windlass.app import Windlass

__all__ = ["Cause", "Reason", "Why", "ask_why"]

#: An exception's text in an outcome is cut after so many characters.
_MOST_TEXT = 500


class Why(msgspec.Struct, kw_only=True, frozen=True):
    """The answer. Times are the broker's, milliseconds since the epoch; 0 or "" for not known.

    Attributes:
        state: In Celery's words, as `AsyncResult.state`.
        stage: Where the message is, as `AsyncResult.stage`.
        reasons: Why it is there, the foremost first; never empty.
        retries: Tries that ended in an exception and a retry.
        deliveries: Runs that ended in a crash, and leases that ran out, of this try.
        handbacks: Times it was handed back: evictions, drains, scale-downs.
        generation: How often it was replayed from the dead letters.
        attempts: What is remembered of runs that did not end well, oldest first.
    """

    id: str
    state: str
    stage: Stage
    reasons: tuple[Reason, ...]
    task: str = ""
    queue: str = ""
    priority: int = 0
    enqueued_ms: int = 0
    due_ms: int = 0
    expires_ms: int = 0
    retries: int = 0
    deliveries: int = 0
    handbacks: int = 0
    generation: int = 0
    attempts: tuple[Attempt, ...] = ()
    now_ms: int = 0

    @property
    def cause(self) -> Cause:
        """The foremost reason's word."""
        return self.reasons[0].cause


def ask_why(app: Windlass, message_id: str, timeout_s: float = 1.0) -> Why:
    """Say why a task is where it is.

    Args:
        app: Whose broker and results.
        message_id: Its id.
        timeout_s: How long workers are waited for, where one of them has it.

    Raises:
        OperationalError: The broker cannot be reached.
    """
    facts = read_facts(app.broker, message_id)
    facts = msgspec.structs.replace(facts, outcome=_outcome(app, message_id))
    if _may_be_held(facts):
        facts = msgspec.structs.replace(facts, holder=_holder(app, facts, timeout_s))
    is_over = facts.outcome is not None and facts.outcome.state in READY_STATES
    if facts.stage is Stage.UNKNOWN and is_over:
        facts = msgspec.structs.replace(facts, stage=Stage.DONE)
    counters = facts.counters
    return Why(
        id=message_id,
        state=PENDING if facts.outcome is None else facts.outcome.state,
        stage=facts.stage,
        reasons=tuple(explain(facts)),
        task=facts.task,
        queue="" if facts.queue is None else facts.queue.name,
        priority=facts.priority,
        enqueued_ms=facts.enqueued_ms,
        due_ms=facts.due_ms,
        expires_ms=facts.expires_ms,
        retries=facts.retries,
        deliveries=counters.deliveries,
        handbacks=counters.handbacks,
        generation=counters.generation,
        attempts=counters.attempts,
        now_ms=facts.now_ms,
    )


def _may_be_held(facts: Facts) -> bool:
    """Whether a worker may have it: leased, or acknowledged at its start and not over."""
    if facts.stage is Stage.LEASED:
        return True
    is_over = facts.outcome is not None and facts.outcome.state in READY_STATES
    return facts.stage is Stage.UNKNOWN and not is_over and facts.waits_for is None


def _outcome(app: Windlass, message_id: str) -> Outcome | None:
    if app.backend is None:
        return None
    handle = app.AsyncResult(message_id)
    try:
        state = handle.state
    except WindlassError:
        return None
    if state == PENDING:
        return None
    try:
        error = handle.result if state in READY_STATES else None
        ended = handle.date_done
        worker = handle.worker or ""
    except WindlassError:  # of a content type that is refused here, or sealed
        return Outcome(state=state)
    text = ""
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {error}"[:_MOST_TEXT]
    return Outcome(
        state=state,
        ended_ms=0 if ended is None else round(ended.timestamp() * 1000),
        error=text,
        worker=worker,
    )


def _holder(app: Windlass, facts: Facts, timeout_s: float) -> Holder | None:
    """Ask the worker that leased it, or all of them where that is not known."""
    meant = [facts.lease_worker] if facts.lease_worker else None
    asked = Inspect(app, meant, timeout_s).ask("query_task", ids=[facts.id])
    for node, tasks in (asked or {}).items():
        found: Any = tasks.get(facts.id) if isinstance(tasks, dict) else None
        if isinstance(found, list) and len(found) == 2 and isinstance(found[1], dict):
            started = found[1].get("time_start")
            return Holder(
                node=node,
                is_running=found[0] == "active",
                since_ms=round(started * 1000) if isinstance(started, int | float) else 0,
                pid=found[1].get("worker_pid") or 0,
            )
    return None
