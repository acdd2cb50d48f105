"""What is said to a worker from outside: revoke, shut down, and that leases were lost.

For the supervisor's loop only. Next in the walk: `windlass.runtime.casualties`.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from windlass import events, states
from windlass.errors import TaskRevokedError
from windlass.log import get_logger
from windlass.messages import stamps_of
from windlass.pools.base import Pool
from windlass.runtime import crew as crews
from windlass.runtime.casualties import Casualties
from windlass.runtime.crew import Crew
from windlass.runtime.dispatch import Dispatcher
from windlass.runtime.hand import Entry, Grants
from windlass.runtime.shutdown import StopKind
from windlass.runtime.slots import Slot
from windlass.stamp_marks import StampMarks, marks_of

if TYPE_CHECKING:
    from windlass.brokers.base import ControlMessage

log = get_logger(__name__)


class Orders:
    """Carries them out.

    Args:
        worker_id: Whether a control message is meant for this worker.
        crew: The slots.
        dispatcher: What is in no slot.
        casualties: Ends messages.
        grants: Forgets lost ones.
        pool: Says what can be done to a running task.
        request_stop: For a shutdown by remote.
    """

    def __init__(
        self,
        worker_id: str,
        crew: Crew,
        dispatcher: Dispatcher,
        casualties: Casualties,
        grants: Grants,
        *,
        pool: Pool,
        request_stop: Callable[[StopKind], None],
    ) -> None:
        self._worker_id = worker_id
        self._crew = crew
        self._dispatcher = dispatcher
        self._casualties = casualties
        self._grants = grants
        self._pool = pool
        self._request_stop = request_stop
        self._stamps = StampMarks()

    def on_control(self, message: ControlMessage, now: float) -> None:
        """Take a control message; what is not meant for us, or not known, is ignored."""
        if message.workers and self._worker_id not in message.workers:
            return
        if message.kind == "revoke":
            self.on_revoked(dict.fromkeys(message.ids, message.signal), now)
        elif message.kind == "revoke_stamps":
            with contextlib.suppress(TypeError):  # a hint: the marks come with the next fetch
                marks = StampMarks(0, marks_of(message.arguments, message.signal))
                self._revoke_stamped(marks, 0, now)
        elif message.kind == "shutdown":
            self._request_stop(StopKind.WARM)

    def on_revoked(self, signals: dict[str, str], now: float) -> None:
        """End what has not begun; terminate what runs if the revoke says so.

        Args:
            signals: Message id -> signal that ends a run, '' to leave a run alone.
            now: Monotonic seconds.
        """
        for entry in self._dispatcher.remove(frozenset(signals)):
            self.revoke_unbegun(entry, now)
        for slot in self._crew.slots:
            mine = [(seq, e) for seq, e in slot.held.items() if e.id in signals]
            if mine:
                self._revoke_in(slot, mine, signals, now)

    def on_stamps(self, marks: StampMarks, now_ms: int, now: float) -> None:
        """Take the revoked stamps as they are now; what is in hand and has one is revoked."""
        self._stamps = marks
        self._revoke_stamped(marks, now_ms, now)

    def revoked_by_stamp(self, entry: Entry, now_ms: int) -> str | None:
        """Return None unless a stamp of it is revoked; else the signal that ends its run, or ''."""
        return self._stamps.signal_for(stamps_of(entry.raw), now_ms)

    def _revoke_stamped(self, marks: StampMarks, now_ms: int, now: float) -> None:
        in_slots = (entry for slot in self._crew.slots for entry in slot.held.values())
        signals = {}
        for entry in (*self._dispatcher.in_no_slot(), *in_slots):
            if entry.is_stamped:
                name = marks.signal_for(stamps_of(entry.raw), now_ms)
                if name is not None:
                    signals[entry.id] = name
        if signals:
            self.on_revoked(signals, now)

    def revoke_unbegun(self, entry: Entry, now: float) -> None:
        """End a message as REVOKED before it began."""
        entry.facts.counts.note_unrun("revoked")
        log.info(events.TASK_REVOKED, task=entry.facts.name, message_id=entry.id)
        self._casualties.end(entry, TaskRevokedError("revoked"), now, states.REVOKED)

    def _revoke_in(
        self, slot: Slot, mine: list[tuple[int, Entry]], signals: dict[str, str], now: float
    ) -> None:
        if mine[-1][0] in list(slot.held)[slot.begun() :]:
            kept = []
            for entry in slot.recall():
                if entry.id in signals and not entry.is_acked:
                    self.revoke_unbegun(entry, now)
                else:
                    kept.append(entry)
            self._dispatcher.take_back(kept)
        for seq, entry in mine:
            name = signals[entry.id]
            if seq in slot.held and name and not entry.is_lost:
                self._terminate(slot, seq, name, now)

    def _terminate(self, slot: Slot, seq: int, name: str, now: float) -> None:
        if not self._pool.has_own_process:
            log.warning(events.TERMINATE_REFUSED, reason="pool solo cannot end a running task")
            return
        if slot.doom is not None:
            return  # it is dying already
        signum = getattr(signal, name if name.startswith("SIG") else f"SIG{name}", None)
        slot.doomed_seq = seq
        self._crew.kill(slot, crews.TERMINATED, now, signum or signal.SIGKILL)

    def on_leases_lost(self, tokens: frozenset[int]) -> int:
        """Somebody else owns these messages: drop what waits, disown what runs.

        A running prefork or thread task is let run (killing it would not undo what it did) and
        its outcome dropped; an asyncio task is cancelled. Returns how many messages.
        """
        lost = 0
        self._grants.drop(tokens)
        for slot in self._crew.slots:
            if not any(entry.token in tokens for entry in slot.held.values()):
                continue
            recalled = slot.recall()
            self._dispatcher.take_back(e for e in recalled if e.token not in tokens)
            lost += sum(entry.token in tokens for entry in recalled)
            for seq, entry in slot.held.items():
                if entry.token in tokens and not (entry.is_lost or entry.is_acked):
                    entry.is_lost = True
                    lost += 1
                    if self._pool.can_cancel:
                        slot.cancel(seq)
        lost += self._dispatcher.drop_lost(tokens)
        if lost:
            log.warning(events.LEASES_LOST, messages=lost)
        return lost
