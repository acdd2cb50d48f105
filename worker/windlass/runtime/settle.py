"""Turns outcomes into settlements, and makes the outcomes that no executor can: the supervisor's.

A process that was killed cannot say how its task ended; what is stored then is made here.
Next in the walk: `windlass.runtime.exchange`.
"""

from __future__ import annotations

from time import monotonic

import msgspec

from windlass import states
from windlass.brokers.base import (
    Again,
    Bury,
    Crashed,
    Done,
    HandBack,
    Park,
    Settlement,
    StoredResult,
)
from windlass.errors import TaskError, WorkerLostError
from windlass.messages import Outgoing, open_envelope, tail_of
from windlass.results import codec
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.hand import Entry
from windlass.runtime.outcome import Buried, Finished, Outcome, Retried, Returned


class Unfenced(msgspec.Struct, kw_only=True, gc=False):
    """The outcome of a message that was acknowledged at start: stored and sent without a lease."""

    id: str
    result: StoredResult | None
    followups: tuple[Outgoing, ...] = ()


class Settler:
    """Knows what every settlement of this worker has in common.

    Args:
        worker_id: Who settles.
        ttl_ms: How long outcomes are kept, 0 for ever.
        stores_results: Whether there is a result backend.
        serializer: The result serializer's name.
        clock: Dates the outcomes that are made here.
    """

    def __init__(
        self,
        worker_id: str,
        *,
        ttl_ms: int,
        stores_results: bool,
        serializer: str,
        clock: BrokerClock,
    ) -> None:
        self._worker_id = worker_id
        self._ttl_ms = ttl_ms
        self._stores_results = stores_results
        self._serializer = serializer
        self._clock = clock

    def settle(self, entry: Entry, outcome: Outcome, duration_ms: float) -> Settlement:
        """Return what the broker is told of an outcome."""
        if isinstance(outcome, Finished):
            return Done(
                id=entry.id,
                queue=entry.queue,
                token=entry.token,
                result=self.stored(outcome.result),
                followups=outcome.followups,
                duration_ms=duration_ms,
            )
        id_, queue, token = entry.id, entry.queue, entry.token
        if isinstance(outcome, Retried):
            return Again(
                id=id_,
                queue=queue,
                token=token,
                message=outcome.message,
                result=self.stored(outcome.result),
                duration_ms=duration_ms,
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
            )
        return Park(id=id_, queue=queue, token=token, task=outcome.task)

    def settle_unfenced(self, entry: Entry, outcome: Outcome) -> Unfenced:
        """Return what is stored and sent for a message that the broker no longer has.

        It can neither be handed back nor buried: those end as FAILURE.
        """
        if isinstance(outcome, Finished):
            return Unfenced(
                id=entry.id, result=self.stored(outcome.result), followups=outcome.followups
            )
        if isinstance(outcome, Retried):
            return Unfenced(
                id=entry.id, result=self.stored(outcome.result), followups=(outcome.message,)
            )
        detail = outcome.detail if isinstance(outcome, Buried) else "it was rejected"
        text = f"Not run again, since it was acknowledged at start (acks_late=False): {detail}"
        return Unfenced(id=entry.id, result=self.failure(entry, TaskError(text)))

    def hand_back(self, entry: Entry, *, counted: bool = False) -> HandBack:
        """Return an unfinished message to its queue."""
        return HandBack(id=entry.id, queue=entry.queue, token=entry.token, counted=counted)

    def acknowledge(self, entry: Entry) -> Done:
        """Settle a message before it begins (acks_late=False)."""
        return Done(id=entry.id, queue=entry.queue, token=entry.token)

    def crashed(self, entry: Entry, reason: str) -> Crashed:
        """Settle a message whose process died under it."""
        return Crashed(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            reason=reason,
            worker=self._worker_id,
            result=self.failure(entry, WorkerLostError(lost_text(reason))),
        )

    def failed(self, entry: Entry, error: BaseException, state: str = states.FAILURE) -> Done:
        """End a message as FAILURE or REVOKED with an error of the supervisor's."""
        return Done(
            id=entry.id,
            queue=entry.queue,
            token=entry.token,
            result=self.failure(entry, error, state),
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
        return Again(id=entry.id, queue=entry.queue, token=entry.token, message=again)

    def failure(
        self, entry: Entry, error: BaseException, state: str = states.FAILURE
    ) -> StoredResult | None:
        """Encode an error of the supervisor's; None where this task stores no errors."""
        facts = entry.facts
        if not facts.stores_errors:
            return None
        about = codec.About(now_ms=self._now_ms(), serializer=self._serializer)
        return self.stored(codec.encode_failure(entry.id, error, None, about, state))

    def started(self, entry: Entry, meta: dict[str, object]) -> StoredResult | None:
        """Encode STARTED; None without a backend."""
        if not self._stores_results or entry.facts.ignores_result:
            return None
        about = codec.About(now_ms=self._now_ms(), serializer=self._serializer)
        return self.stored(codec.encode_state(entry.id, states.STARTED, meta, about))

    def stored(self, payload: bytes | None) -> StoredResult | None:
        """Add how long it is kept; None where nothing is stored."""
        if payload is None or not self._stores_results:
            return None
        return StoredResult(payload=payload, ttl_ms=self._ttl_ms)

    def _now_ms(self) -> int:
        return self._clock.now_ms(monotonic())


def lost_text(reason: str) -> str:
    """Say what WorkerLostError means, with the reason of the process's end."""
    return f"The process that ran this task ended before the task did: {reason}."
