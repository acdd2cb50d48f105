"""The slots of a worker: started, watched, recycled, killed, and started again when they die.

For the supervisor's loop only; what the end of a process means for its messages is decided in
`windlass.runtime.casualties`.
"""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from windlass import events, signals
from windlass.log import get_logger
from windlass.runtime.recycling import (
    MEMORY_CHECK_S,
    Recycling,
    RestartPacing,
    Verdict,
    resident_kib,
)
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState
from windlass.runtime.zygote import Born, Ended, SlotEnds

log = get_logger(__name__)

#: A process that was asked to end by a signal of the user's choice is killed after so long, s.
SIGNAL_GRACE_S = 0.2
#: A process for suspects ends when none has come for so long, seconds.
ISOLATION_S = 5.0
#: So long the receivers of worker_process_shutdown may take at a worker's end, seconds.
LAST_WORDS_S = 5.0

__all__ = ["MEMORY_CHECK_S", "Crew", "Spawner"]

HARD_LIMIT = "hard_limit"
TERMINATED = "terminated"
MEMORY = "memory"
COLD_STOP = "cold_stop"


class Spawner(Protocol):
    """Starts and kills slot processes: the zygote, or solo's stand-in."""

    def fileno(self) -> int:
        """Readable when there are reports."""

    def spawn(self, slot: int, ends: SlotEnds) -> None:
        """Start a process that serves the slot."""

    def kill(self, slot: int, signum: int) -> None:
        """Send a signal to it."""

    def reports(self) -> list[Born | Ended]:
        """Return what has happened. Raises EOFError when there will be no more."""

    def close(self) -> None:
        """End what is left."""


class Crew:
    """All slots.

    Args:
        spawner: Starts processes.
        selector: Where slots are registered, with `on_ready` as data.
        shape: (processes, lanes in each).
        recycling: When processes are replaced.
        state: Counts losses and recycles.
        on_ready: Called as on_ready(slot, events mask).
    """

    def __init__(
        self,
        spawner: Spawner,
        selector: selectors.BaseSelector,
        shape: tuple[int, int],
        *,
        recycling: Recycling,
        state: WorkerState,
        on_ready: Callable[[Slot, int], None],
    ) -> None:
        self._spawner = spawner
        self._selector = selector
        self._recycling = recycling
        self._state = state
        self._on_ready = on_ready
        self._pacing = RestartPacing()
        #: Slot index -> when it is started again, monotonic.
        self._restarts: dict[int, float] = {}
        self.slots = [Slot(index, shape[1]) for index in range(shape[0])]
        self.is_closing = False
        self.has_lost_zygote = False
        #: What every slot has to know, those that start later too: key -> frame.
        self._announced: dict[str, bytes] = {}
        #: Index of the slot for suspects, None while there is none, and when it was last needed.
        self._isolated: int | None = None
        self._needed_at = 0.0
        #: Indexes of slots that end for good, and of those that have.
        self._leaving: set[int] = set()
        self._vacant: list[int] = []

    def open_all(self, now: float) -> None:
        """Start every slot."""
        for index in range(len(self.slots)):
            self._open(index, now)

    def _open(self, index: int, now: float) -> None:
        slot = Slot(index, self.slots[index].lanes)
        slot.quota = self._recycling.max_tasks
        slot.is_isolated = index == self._isolated
        self.slots[index] = slot
        slot.open(self._spawner.spawn, now)
        self._selector.register(slot, selectors.EVENT_READ, lambda mask: self._on_ready(slot, mask))
        slot.is_watched = True
        for frame in self._announced.values():
            self._tell(slot, frame)

    def announce(self, key: str, frame: bytes) -> None:
        """Tell every slot something, those that start later too; the latest under a key counts."""
        self._announced[key] = frame
        for slot in self.slots:
            if slot.is_watched:
                self._tell(slot, frame)

    def _tell(self, slot: Slot, frame: bytes) -> None:
        slot.tell(frame)
        if slot.is_sending:
            self.watch_writes(slot)

    @property
    def size(self) -> int:
        """Slots that there are and that stay."""
        extra = self._isolated is not None
        return len(self.slots) - len(self._vacant) - len(self._leaving) - extra

    def add_slot(self, now: float) -> None:
        """Start one slot more."""
        self._open(self._place(), now)
        self._state.slots += 1

    def _place(self) -> int:
        """Return the index of a slot that is not there."""
        if self._vacant:
            return self._vacant.pop()
        self.slots.append(Slot(len(self.slots), self.slots[0].lanes))
        return len(self.slots) - 1

    def isolate(self, now: float, *, is_needed: bool) -> None:
        """Have a process for suspects while there are some, where processes run several at once."""
        if is_needed:
            self._needed_at = now
            if self._isolated is None and self.has_many_lanes and not self.is_closing:
                self._isolated = self._place()
                self._open(self._isolated, now)
        elif self._isolated is not None and now - self._needed_at > ISOLATION_S:
            slot = self.slots[self._isolated]
            if not slot.held and not slot.reserved:
                self._isolated = None
                self._drop(slot, "no more suspects")
                self.stop_if_empty(slot)

    def drop_slots(self, count: int) -> list[Slot]:
        """Let slots end for good when they are empty, idle ones first. Returns them."""
        gone = self._leaving.union(self._vacant, {self._isolated})
        staying = [slot for slot in self.slots if slot.index not in gone]
        staying.sort(key=lambda slot: (slot.is_watched, len(slot.held) + slot.reserved))
        dropped = staying[:count]
        for slot in dropped:
            self._state.slots -= 1
            self._drop(slot, "pool_shrink")
        return dropped

    def _drop(self, slot: Slot, why: str) -> None:
        if self._restarts.pop(slot.index, None) is not None:
            self._vacant.append(slot.index)
        else:
            self._leaving.add(slot.index)
            self.retire(slot, why)

    def watch_writes(self, slot: Slot) -> None:
        """Have the selector say when the slot's socket takes more."""
        if slot.is_watched and not slot.is_write_watched:
            slot.is_write_watched = True
            self._selector.register(
                slot.sock, selectors.EVENT_WRITE, lambda mask: self._on_ready(slot, mask)
            )

    def flush(self, slot: Slot) -> None:
        """Write what waits; stop watching for writes when all is out."""
        slot.flush()
        if not slot.is_sending:
            self._unwatch_writes(slot)

    def _unwatch_writes(self, slot: Slot) -> None:
        if slot.is_write_watched:
            slot.is_write_watched = False
            self._selector.unregister(slot.sock)

    @property
    def has_many_lanes(self) -> bool:
        """Whether a process runs several messages at once."""
        return self.slots[0].lanes > 1

    def unwatch(self, slot: Slot) -> None:
        """Stop watching a slot whose process has closed its end."""
        self._unwatch_writes(slot)
        if slot.is_watched:
            slot.is_watched = False
            self._selector.unregister(slot)

    def reports(self) -> list[Born | Ended]:
        """Return what the spawner reports. Raises EOFError when it is gone."""
        return self._spawner.reports()

    def lost_zygote(self) -> None:
        """No slot can be started any more: those there are go on, and the worker ends."""
        self._selector.unregister(self._spawner)
        self.is_closing = self.has_lost_zygote = True
        log.error(events.ZYGOTE_LOST, reason="the process that starts slots is gone; draining")

    def born(self, report: Born) -> None:
        """Note a process's pid."""
        self.slots[report.slot].pid = report.pid
        log.debug(events.SLOT_STARTED, slot=report.slot, pid=report.pid)

    def ended(self, slot: Slot, now: float, *, reason: str, is_loss: bool) -> None:
        """Close a dead slot and have it started again, unless the worker is ending."""
        self.unwatch(slot)
        slot.close()
        if is_loss:
            self._state.slots_lost_total += 1
            log.warning(events.SLOT_LOST, slot=slot.index, pid=slot.pid, reason=reason)
        delay_s = self._pacing.delay_s(slot.index, now - slot.started_at) if is_loss else 0.0
        self.slots[slot.index] = Slot(slot.index, slot.lanes)  # a stand-in that takes nothing
        if slot.index in self._leaving:
            self._leaving.discard(slot.index)
            self._vacant.append(slot.index)
            return
        if self.is_closing:
            return
        if delay_s:
            self._restarts[slot.index] = now + delay_s
        else:
            self._open(slot.index, now)

    def retire(self, slot: Slot, why: str) -> None:
        """Let a process end when it is empty."""
        if not slot.is_retiring:
            slot.is_retiring = True
            self._state.slots_recycled_total += 1
            log.info(events.SLOT_RECYCLED, slot=slot.index, pid=slot.pid, reason=why)

    def stop_if_empty(self, slot: Slot) -> None:
        """Tell a process that has run what it may to end."""
        if slot.held or slot.reserved or not slot.is_ready or slot.has_been_told:
            return
        if slot.quota == 0:
            self.retire(slot, f"max_tasks_per_child ({slot.runs})")
        if slot.is_retiring:
            slot.has_been_told = True
            slot.stop()

    def kill(self, slot: Slot, doom: str, now: float, signum: int = signal.SIGKILL) -> None:
        """Kill a process; `doom` says later what its end means."""
        if slot.doom is None:
            slot.doom = doom
            log.warning(events.SLOT_KILLED, slot=slot.index, pid=slot.pid, reason=doom)
        self._spawner.kill(slot.index, signum)
        if signum != signal.SIGKILL:
            slot.kill_at = now + SIGNAL_GRACE_S

    def check_memory(self, now: float) -> list[Slot]:
        """Judge each process by its memory. Returns those that now retire."""
        if self._recycling.max_memory_kib is None:
            return []
        retiring = []
        for slot in self.slots:
            rss_kib = resident_kib(slot.pid) if slot.pid and slot.is_ready else None
            if rss_kib is None or slot.doom is not None:
                continue
            verdict = self._recycling.judge_memory(rss_kib, has_run=slot.runs > 0)
            if verdict is Verdict.KILL:
                slot.doom_text = (
                    f"{rss_kib} KiB of memory, over twice max_memory_per_child "
                    f"({self._recycling.max_memory_kib} KiB)"
                )
                self.kill(slot, MEMORY, now)
            elif verdict is Verdict.RETIRE and not slot.is_retiring:
                self.retire(slot, f"max_memory_per_child ({rss_kib} KiB)")
                retiring.append(slot)
        return retiring

    def on_time(self, now: float) -> float:
        """Start slots whose delay is over, kill those that outlived their signal.

        Returns:
            When to come by again, monotonic seconds.
        """
        for index in [index for index, at in self._restarts.items() if at <= now]:
            del self._restarts[index]
            self._open(index, now)
        times = list(self._restarts.values())
        for slot in self.slots:
            if slot.kill_at is not None:
                if slot.kill_at <= now:
                    slot.kill_at = None
                    self._spawner.kill(slot.index, signal.SIGKILL)
                else:
                    times.append(slot.kill_at)
        return min(times, default=float("inf"))

    def close(self) -> None:
        """Close every slot, which ends its process; the spawner kills what is left."""
        for slot in self.slots:
            slot.close()
        if signals.worker_process_shutdown.connections and not self.has_lost_zygote:
            theirs = {slot.pid for slot in self.slots if slot.is_ready}
            self._await_ends(theirs - {0, os.getpid()})  # solo's slot is this process
        self._spawner.close()

    def _await_ends(self, pids: set[int]) -> None:
        """Give processes the time to say that they end; somebody listens for it."""
        deadline = monotonic() + LAST_WORDS_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._spawner, selectors.EVENT_READ)
            while pids and selector.select(max(0.0, deadline - monotonic())):
                try:
                    reports = self._spawner.reports()
                except EOFError:
                    return
                pids -= {report.pid for report in reports if isinstance(report, Ended)}
