"""What the end of a slot process means for the messages it had. Decisions only.

    not begun                        back to the line: the permit was never taken
    begun, process killed by us      the one it was about: its outcome; neighbours: handed back
    begun alone, process died        crashed: deliveries + 1
    begun with others, process died  suspects: nobody knows whose fault it was; each runs again, in
                                     a process of its own, and this crash counts with the next
    acknowledged at start            FAILURE, WorkerLostError: never run twice
Next in the walk: `windlass.runtime.supervisor`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from windlass import events, states
from windlass.brokers.base import Crashed
from windlass.errors import TaskError, TaskRevokedError, TimeLimitExceeded, WorkerLostError
from windlass.log import get_logger
from windlass.runtime import crew
from windlass.runtime.hand import Entry
from windlass.runtime.settle import Settler, lost_text
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState
from windlass.runtime.traffic import Traffic

log = get_logger(__name__)

#: A suspect that waits behind others comes again after so long, seconds.
_SUSPECT_DELAY_S = (1.0, 5.0)


class Casualties:
    """Settles what was running in a process that is gone."""

    def __init__(self, settler: Settler, traffic: Traffic, state: WorkerState) -> None:
        self._settler = settler
        self._traffic = traffic
        self._state = state

    def settle(self, slot: Slot, reason: str, now: float) -> None:
        """Settle all that had begun in a dead slot; recalled messages are not in it any more."""
        is_shared = len(slot.held) > 1
        for seq, entry in slot.held.items():
            if entry.is_lost:
                continue
            if slot.doom in (crew.HARD_LIMIT, crew.TERMINATED):
                if seq == slot.doomed_seq:
                    self._settle_doomed(slot, entry, now)
                else:
                    self.hand_back(entry, now)
            elif slot.doom == crew.COLD_STOP:
                self.hand_back(entry, now, counted=True)
            else:
                began_at = slot.head_since if slot.lanes == 1 else entry.started_at
                crashed = self._settler.crashed(
                    entry, slot.doom_text or reason, is_shared=is_shared, started_at=began_at
                )
                self._crash(entry, crashed, now)
        slot.held.clear()

    def _settle_doomed(self, slot: Slot, entry: Entry, now: float) -> None:
        if slot.doom == crew.HARD_LIMIT:
            limit_s = entry.hard_s or 0.0
            log.error(
                events.TASK_HARD_LIMIT_PASSED,
                task=entry.facts.name,
                message_id=entry.id,
                limit_s=limit_s,
            )
            entry.facts.counts.note("failed", limit_s)
            self.end(entry, TimeLimitExceeded(limit_s), now)
        else:
            log.warning(events.TASK_REVOKED, task=entry.facts.name, message_id=entry.id)
            entry.facts.counts.note_unrun("revoked")
            self.end(entry, TaskRevokedError("terminated"), now, states.REVOKED)

    def _crash(self, entry: Entry, crashed: Crashed, now: float) -> None:
        reason = crashed.reason
        log.error(events.TASK_FAILED, task=entry.facts.name, message_id=entry.id, reason=reason)
        entry.facts.counts.note_unrun("crashed")
        if entry.is_acked:
            self.end(entry, WorkerLostError(lost_text(reason)), now)
        else:
            self._traffic.settle(crashed, now)

    def give_up(self, entries: Iterable[Entry], now: float) -> None:
        """Let the broker have messages that found no slot; a suspect comes again later."""
        for entry in entries:
            if entry.is_suspect and not entry.is_lost:
                delay_s = random.uniform(*_SUSPECT_DELAY_S)
                self._traffic.settle(self._settler.deferred(entry, delay_s), now)
            else:
                self.hand_back(entry, now)

    def hand_back(self, entry: Entry, now: float, *, counted: bool = False) -> None:
        """Give an unfinished message back; one that is acknowledged ends as FAILURE instead."""
        if entry.is_lost:
            return
        if entry.is_acked:
            reason = "the worker stopped" if counted else "its process was killed for another task"
            self.end(entry, WorkerLostError(lost_text(reason)), now)
            return
        entry.facts.counts.note_unrun("handed_back")
        self._state.handed_back_total += 1
        log.info(events.TASK_HANDED_BACK, task=entry.facts.name, message_id=entry.id)
        self._traffic.settle(self._settler.hand_back(entry, counted=counted), now)

    def end(self, entry: Entry, error: TaskError, now: float, state: str = states.FAILURE) -> None:
        """End a message with an error of the supervisor's."""
        if entry.is_acked:
            self._traffic.unfenced.append(self._settler.failed_unfenced(entry, error, state))
            self._traffic.hurry(now)
        else:
            self._traffic.settle(self._settler.failed(entry, error, state), now)
