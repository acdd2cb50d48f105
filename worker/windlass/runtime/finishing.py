"""What the supervisor does with each outcome: the per-message path, kept short.

Next in the walk: `windlass.runtime.settle`.
"""

from __future__ import annotations

from windlass import events, states
from windlass.brokers.base import Done, StepDone, StoredResult
from windlass.log import get_logger
from windlass.runtime import wire
from windlass.runtime.dispatch import Dispatcher
from windlass.runtime.exchange import Answer, Started
from windlass.runtime.hand import Entry, Grants
from windlass.runtime.outcome import Buried, Finished, Keyed, Outcome, Retried, Returned
from windlass.runtime.settle import Settler
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState
from windlass.runtime.traffic import Traffic

log = get_logger(__name__)

#: State of a finished message -> its count.
_ENDS = {
    states.SUCCESS: "succeeded",
    states.FAILURE: "failed",
    states.REVOKED: "revoked",
    states.IGNORED: "ignored",
}


class Finisher:
    """Counts and settles what slots answer. (The slot has logged it.)."""

    def __init__(
        self,
        settler: Settler,
        traffic: Traffic,
        dispatcher: Dispatcher,
        grants: Grants,
        state: WorkerState,
    ) -> None:
        self._settler = settler
        self._traffic = traffic
        self._dispatcher = dispatcher
        self._grants = grants
        self._state = state

    def finish(
        self, slot: Slot, kind: int, seq: int, duration_ms: float, payload: bytes, now: float
    ) -> None:
        """Take one answer of a slot."""
        entry = slot.finish(seq, now)
        if entry is None or entry.is_lost:
            return
        duration_s = duration_ms / 1000.0
        facts = entry.facts
        facts.run_time.record(duration_s)
        self._state.tasks_done += 1
        if kind != wire.OUTCOME and not entry.is_acked:
            # Success, and nothing unusual: the common path.
            facts.counts.note("succeeded", duration_s)
            result = self._settler.stored(payload) if kind == wire.RESULT else None
            done = Done(
                id=entry.id,
                queue=entry.queue,
                token=entry.token,
                result=result,
                duration_ms=duration_ms,
            )
            self._traffic.settle(done, now)
        else:
            self._finish_unusual(entry, wire.decode_answer(kind, payload), duration_s, now)
            if 2 * len(slot.held) < slot.lanes:
                # A step of a workflow, say: the next one comes with its commit, and little is
                # there to gather with it.
                self._traffic.hurry(now)

    def _finish_unusual(
        self, entry: Entry, outcome: Outcome, duration_s: float, now: float
    ) -> None:
        entry.facts.counts.note(_end_of(outcome), duration_s)
        if entry.is_acked:
            self._traffic.unfenced.append(self._settler.settle_unfenced(entry, outcome))
            self._traffic.hurry(now)
        else:
            settlement = self._settler.settle(entry, outcome, duration_s * 1000.0)
            self._traffic.settle(settlement, now)
            if isinstance(settlement, StepDone) or (
                isinstance(settlement, Done) and settlement.followups
            ):
                self._traffic.expect_next()

    def park(self, entry: Entry, now: float) -> None:
        """Set aside a message whose task is not known here."""
        entry.facts.counts.note_unrun("parked")
        log.warning(events.TASK_PARKED, task=entry.facts.name, message_id=entry.id)
        self._traffic.settle(self._settler.parked(entry), now)

    def note_started(self, slot: Slot, entry: Entry, now: float) -> None:
        """Have STARTED stored."""
        meta: dict[str, object] = {"pid": slot.pid, "hostname": self._state.hostname}
        payload: StoredResult | None = self._settler.started(entry, meta)
        if payload is not None and not entry.is_acked:
            self._traffic.started.append(
                Started(id=entry.id, queue=entry.queue, token=entry.token, payload=payload)
            )
            self._traffic.hurry(now)

    def confirmed(self, answer: Answer, now: float) -> None:
        """The broker has taken a job's settlements; those in `stale` it has refused."""
        settlements = answer.job.settlements
        acking = self._dispatcher.acking
        # Refused, though the lease cannot have run out: an earlier try of the same job was carried
        # out and its answer lost. Nothing was done by anybody else.
        stale = {
            settlement.id
            for settlement in settlements
            if answer.stale
            and settlement.id in answer.stale
            and not self._grants.is_surely_ours(settlement.token, now)
        }
        if acking:
            for settlement in settlements:
                if settlement.id in acking:
                    is_ours = settlement.id not in stale
                    self._dispatcher.acknowledged(settlement.id, is_ours=is_ours)
                    stale.discard(settlement.id)
        if stale:
            self._state.outcomes_refused_total += len(stale)
            log.warning(events.OUTCOME_REFUSED, messages=len(stale), first=min(stale))
        self._grants.settled(settlement.token for settlement in settlements)


def _end_of(outcome: Outcome) -> str:
    if isinstance(outcome, Finished):
        return _ENDS.get(outcome.state, "succeeded")
    if isinstance(outcome, Retried):
        return "retried"
    if isinstance(outcome, Keyed):
        return "keyed"
    if isinstance(outcome, Returned):
        return "handed_back"
    return "dead_lettered" if isinstance(outcome, Buried) else "parked"
