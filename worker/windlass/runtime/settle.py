"""Turns outcomes into settlements, and makes the outcomes that no executor can: the supervisor's.

A process that was killed cannot say how its task ended; what is stored then is made here.
Next in the walk: `windlass.runtime.exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from windlass import attempts, states
from windlass.attempts import Ending
from windlass.brokers.base import (
    Again,
    Bury,
    Crashed,
    DeadEnd,
    Done,
    HandBack,
    Park,
    Settlement,
    StepDone,
    StoredResult,
)
from windlass.continuations import Part
from windlass.errors import TaskError, WorkerLostError
from windlass.messages import Outgoing, open_envelope, tail_of, then_of
from windlass.results import codec
from windlass.runtime import remembering, steps
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.hand import Entry
from windlass.runtime.outcome import Buried, Finished, Keyed, Outcome, Retried, Returned, Stepped

if TYPE_CHECKING:
    from windlass.sealing.seals import Seals


class Unfenced(msgspec.Struct, kw_only=True, gc=False):
    """The outcome of a message that was acknowledged at start: stored and sent without a lease."""

    id: str
    result: StoredResult | None
    followups: tuple[Outgoing, ...] = ()
    step: Stepped | None = None


class Settler:
    """Knows what every settlement of this worker has in common.

    Args:
        worker_id: Who settles.
        ttl_ms: How long outcomes are kept, 0 for ever.
        stores_results: Whether there is a result backend.
        serializer: The result serializer's name.
        clock: Dates the outcomes that are made here.
        seals: What signs and encrypts them, None: nothing does.
        keeps: Queue -> which ends make dead letters there (`WorkerState.keeps`).
    """

    def __init__(
        self,
        worker_id: str,
        *,
        ttl_ms: int,
        stores_results: bool,
        serializer: str,
        clock: BrokerClock,
        seals: Seals | None = None,
        keeps: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._worker_id = worker_id
        self._seals = seals
        self._ttl_ms = ttl_ms
        self._stores_results = stores_results
        self._serializer = serializer
        self._clock = clock
        self._keeps: Mapping[str, frozenset[str]] = {} if keeps is None else keeps

    def settle(self, entry: Entry, outcome: Outcome, duration_ms: float) -> Settlement:
        """Return what the broker is told of an outcome."""
        if isinstance(outcome, Finished):
            return self._ended(entry, outcome, duration_ms)
        id_, queue, token = entry.id, entry.queue, entry.token
        if isinstance(outcome, Retried):
            return Again(
                id=id_,
                queue=queue,
                token=token,
                message=outcome.message,
                result=self.stored(outcome.result),
                duration_ms=duration_ms,
                attempt=self._raised(entry, outcome, duration_ms),
            )
        if isinstance(outcome, Keyed):
            return Again(
                id=id_, queue=queue, token=token, message=outcome.message, is_deferred=True
            )
        if isinstance(outcome, Returned):
            return HandBack(id=id_, queue=queue, token=token, counted=outcome.counted)
        if isinstance(outcome, Buried):
            return Bury(
                id=id_,
                queue=queue,
                token=token,
                reason=outcome.reason,
                detail=outcome.detail,
                worker=self._worker_id,
                result=self.stored(outcome.result),
                part=_buried_part(entry, outcome),
                attempt=remembering.unrun(
                    self._worker_id, entry, Ending.BURIED, f"{outcome.reason}: {outcome.detail}"
                ),
            )
        return Park(id=id_, queue=queue, token=token, task=outcome.task)

    def settle_unfenced(self, entry: Entry, outcome: Outcome) -> Unfenced:
        """Return what is stored and sent for a message that the broker no longer has.

        It can neither be handed back nor buried: those end as FAILURE.
        """
        if isinstance(outcome, Finished):
            ended = Unfenced(
                id=entry.id, result=self.stored(outcome.result), followups=outcome.followups
            )
            if isinstance(outcome, Stepped):
                ended.step = outcome
            return ended
        if isinstance(outcome, Retried):
            return Unfenced(
                id=entry.id, result=self.stored(outcome.result), followups=(outcome.message,)
            )
        if isinstance(outcome, Keyed):
            return Unfenced(id=entry.id, result=None, followups=(outcome.message,))
        detail = outcome.detail if isinstance(outcome, Buried) else "it was rejected"
        text = f"Not run again, since it was acknowledged at start (acks_late=False): {detail}"
        return self.failed_unfenced(entry, TaskError(text))

    def failed_unfenced(
        self, entry: Entry, error: BaseException, state: str = states.FAILURE
    ) -> Unfenced:
        """End a message that the broker no longer has with an error of the supervisor's."""
        ended = Unfenced(id=entry.id, result=self.failure(entry, error, state))
        part = steps.part_without_run(entry.raw, entry.id, error, state)
        if part is not None:
            ended.step = Stepped(state, None, (), part)
        return ended

    def hand_back(self, entry: Entry, *, counted: bool = False) -> HandBack:
        """Return an unfinished message to its queue."""
        return HandBack(id=entry.id, queue=entry.queue, token=entry.token, counted=counted)

    def acknowledge(self, entry: Entry) -> Done:
        """Settle a message before it begins (acks_late=False)."""
        then = then_of(entry.raw)
        if then is None:
            return Done(id=entry.id, queue=entry.queue, token=entry.token, state="")
        return StepDone(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            state="",
            holds=then,
            holder=f"w{self._worker_id}",
        )

    def crashed(
        self, entry: Entry, reason: str, *, is_shared: bool = False, started_at: float | None = None
    ) -> Crashed:
        """Settle a message whose process died under it.

        Args:
            entry: The message.
            reason: How the process ended.
            is_shared: Others ran in it too.
            started_at: Monotonic time when the message began, None if that is not known.
        """
        started_ms = 0 if started_at is None else self._clock.now_ms(started_at)
        error = WorkerLostError(lost_text(reason))
        return Crashed(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            reason=reason,
            worker=self._worker_id,
            result=self.failure(entry, error),
            part=steps.part_without_run(entry.raw, entry.id, error),
            attempt=remembering.crashed(
                self._worker_id, entry, reason, is_shared=is_shared, started_ms=started_ms
            ),
            is_shared=is_shared,
        )

    def failed(self, entry: Entry, error: BaseException, state: str = states.FAILURE) -> Done:
        """End a message as FAILURE or REVOKED with an error of the supervisor's.

        A FAILURE becomes a dead letter where the queue, or the task, keeps those.
        """
        result = self.failure(entry, error, state)
        part = steps.part_without_run(entry.raw, entry.id, error, state)
        if state == states.FAILURE:
            raised = attempts.raised(error, "", remembering.retries_of(entry))
            outcome = Stepped(state, None, (), part, raised=raised, dead_as="failed")
            outcome.keeps = entry.facts.keeps_failed
            if self._keeps_dead(entry, outcome):
                dead = self._dead_end(entry, outcome, 0.0)
                dead.result = result
                return dead
        if part is None:
            return Done(
                id=entry.id, queue=entry.queue, token=entry.token, result=result, state=state
            )
        return StepDone(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            result=result,
            state=state,
            part=part,
        )

    def _ended(self, entry: Entry, outcome: Finished, duration_ms: float) -> Done:
        if outcome.dead_as and self._keeps_dead(entry, outcome):
            return self._dead_end(entry, outcome, duration_ms)
        if isinstance(outcome, Stepped):
            return self._step(entry, outcome, duration_ms)
        return Done(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            result=self.stored(outcome.result),
            followups=outcome.followups,
            duration_ms=duration_ms,
            state=outcome.state,
        )

    def _keeps_dead(self, entry: Entry, outcome: Finished) -> bool:
        return outcome.keeps or outcome.dead_as in self._keeps.get(entry.queue, ())

    def _dead_end(self, entry: Entry, outcome: Finished, duration_ms: float) -> DeadEnd:
        """End a message and keep it as a dead letter."""
        step = outcome if isinstance(outcome, Stepped) else None
        raised = self._tellable(outcome.raised)
        if raised is None:
            detail = "its time had passed before it could run"
            attempt = remembering.unrun(self._worker_id, entry, Ending.EXPIRED, detail)
        else:
            detail = f"{raised.error}: {raised.message}" if raised.message else raised.error
            attempt = self._raised(entry, outcome, duration_ms)
        return DeadEnd(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            result=self.stored(outcome.result),
            followups=outcome.followups,
            duration_ms=duration_ms,
            state=outcome.state,
            part=None if step is None else step.part,
            declares=() if step is None else step.declares,
            reason=outcome.dead_as,
            detail=detail,
            worker=self._worker_id,
            attempt=attempt,
        )

    def _raised(self, entry: Entry, outcome: Finished | Retried, duration_ms: float) -> bytes:
        if outcome.raised is None and isinstance(outcome, Retried):
            return b""
        end = Ending.RETRIED if isinstance(outcome, Retried) else Ending.FAILED
        started_ms = self._now_ms() - round(duration_ms)
        raised = self._tellable(outcome.raised)
        return remembering.raised(self._worker_id, entry, end, raised, started_ms=started_ms)

    def _tellable(self, raised: attempts.Raised | None) -> attempts.Raised | None:
        """Leave out texts that may name arguments, where those are encrypted."""
        if raised is None or self._seals is None or not self._seals.encrypts:
            return raised
        return attempts.Raised(raised.error, "", "", raised.retries)

    def _step(self, entry: Entry, outcome: Stepped, duration_ms: float) -> StepDone:
        return StepDone(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            result=self.stored(outcome.result),
            followups=outcome.followups,
            duration_ms=duration_ms,
            state=outcome.state,
            part=outcome.part,
            declares=outcome.declares,
            grows=outcome.grows,
            holds=outcome.holds,
            holder=outcome.holder,
        )

    def parked(self, entry: Entry) -> Park:
        """Set aside a message of a task that this app does not know."""
        return Park(id=entry.id, queue=entry.queue, token=entry.token, task=entry.facts.name)

    def deferred(self, entry: Entry, delay_s: float) -> Again:
        """Schedule the same message for later: its rate limit has no room now."""
        envelope = open_envelope(entry.raw)
        again = Outgoing(
            id=entry.id,
            queue=entry.queue,
            tail=tail_of(entry.raw),
            priority=envelope.priority,
            delay_ms=max(1, round(delay_s * 1000)),
            expires_at_ms=envelope.expires_ms or None,
        )
        return Again(
            id=entry.id, queue=entry.queue, token=entry.token, message=again, is_deferred=True
        )

    def failure(
        self, entry: Entry, error: BaseException, state: str = states.FAILURE
    ) -> StoredResult | None:
        """Encode an error of the supervisor's; None where this task stores no errors."""
        facts = entry.facts
        if not facts.stores_errors:
            return None
        about = codec.About(now_ms=self._now_ms(), serializer=self._serializer, seals=self._seals)
        return self.stored(codec.encode_failure(entry.id, error, None, about, state))

    def started(self, entry: Entry, meta: dict[str, object]) -> StoredResult | None:
        """Encode STARTED; None without a backend."""
        if not self._stores_results or entry.facts.ignores_result:
            return None
        about = codec.About(now_ms=self._now_ms(), serializer=self._serializer, seals=self._seals)
        return self.stored(codec.encode_state(entry.id, states.STARTED, meta, about))

    def stored(self, payload: bytes | None) -> StoredResult | None:
        """Add how long it is kept; None where nothing is stored."""
        if payload is None or not self._stores_results:
            return None
        return StoredResult(payload=payload, ttl_ms=self._ttl_ms)

    def _now_ms(self) -> int:
        return self._clock.now_ms(monotonic())


def _buried_part(entry: Entry, outcome: Buried) -> Part | None:
    then = then_of(entry.raw)
    if then is None:
        return None
    if outcome.failure:
        return Part(then=then, failure=outcome.failure)
    return steps.failed(then, entry.id, TaskError(f"It is a dead letter: {outcome.detail}"))


def lost_text(reason: str) -> str:
    """Say what WorkerLostError means, with the reason of the process's end."""
    return f"The process that ran this task ended before the task did: {reason}."
