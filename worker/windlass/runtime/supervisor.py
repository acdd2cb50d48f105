"""The supervisor's loop: owns slots, timers and signals, and never waits for the broker or a task.

    one turn:  what is readable (answers of slots, reports of the zygote, posts of threads, signals)
               -> timers that are due -> hand out -> send what is to be sent

Everything it touches belongs to this loop alone; threads post to its mailbox.
Next in the walk: `windlass.runtime.dispatch` (hand out), `windlass.runtime.traffic` (send).
"""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from windlass import events, signals
from windlass import log as logs
from windlass.brokers.base import Fetched
from windlass.runtime import crew as crews
from windlass.runtime import wire
from windlass.runtime.broker_clock import BrokerClock
from windlass.runtime.casualties import Casualties
from windlass.runtime.control import InLoop
from windlass.runtime.crew import Crew
from windlass.runtime.dispatch import Dispatcher
from windlass.runtime.errand import Errand
from windlass.runtime.exchange import Answer, Mailbox, Woken
from windlass.runtime.finishing import Finisher
from windlass.runtime.hand import Entry, Grants, Reader
from windlass.runtime.lease_keeper import Cordon, LeasesLost, Revoked
from windlass.runtime.orders import Orders
from windlass.runtime.shutdown import Shutdown, StopKind, StopStage
from windlass.runtime.slots import Slot
from windlass.runtime.state import WorkerState
from windlass.runtime.traffic import Traffic
from windlass.runtime.zygote import Born

log = logs.get_logger(__name__)

#: The loop turns at least this often: liveness looks at it.
LONGEST_TURN_S = 1.0
#: Time between looks at slots while there is work, for stalls and waiting messages.
BUSY_TICK_S = 0.25
#: After the drain's end this long to tell the broker; then the leases have to run out.
LAST_WORDS_S = 10.0
#: Under load the loop naps so long between turns, to read many answers with one call.
NAP_S = 0.001
#: That is when one turn read at least this many, and no slot will run dry in the meantime.
NAP_FROM = 8


@dataclass(slots=True, kw_only=True)
class Parts:
    """What a supervisor is made of; put together in `windlass.runtime.worker`."""

    selector: selectors.BaseSelector
    mailbox: Mailbox
    crew: Crew
    dispatcher: Dispatcher
    traffic: Traffic
    errand: Errand
    clock: BrokerClock
    casualties: Casualties
    finisher: Finisher
    orders: Orders
    reader: Reader
    grants: Grants
    shutdown: Shutdown
    state: WorkerState
    lease_s: float
    has_own_process: bool
    #: Has a heartbeat go at once.
    beat_soon: Callable[[], None]


class Supervisor:
    """The loop. `run` returns when everything is settled, or cannot be."""

    def __init__(self, parts: Parts, on_started: Callable[[], None]) -> None:
        self._parts = parts
        self._on_started = on_started
        #: What threads post, by type; anything else is a control message of the broker's.
        self._mail: dict[type, Callable[[Any, float], None]] = {
            Answer: self._on_answer,
            Woken: self._on_woken,
            LeasesLost: self._on_leases_lost,
            Revoked: self._on_revoked,
            Cordon: self._on_cordon,
            StopKind: self._request_stop,
            InLoop: InLoop.run,
        }
        self._tick_at = 0.0
        self._next_memory_check = 0.0
        self._answered = 0
        self._last_words_until = float("inf")
        self._next_roll_call = 0.0
        self.is_clean = True
        self.ids_in_hand: list[str] = []

    def run(self) -> None:
        """Turn until the worker may end."""
        while not self._is_over(monotonic()):
            self.run_once()

    def run_once(self) -> None:
        """One turn."""
        parts = self._parts
        now = monotonic()
        until = min(self._tick_at, parts.traffic.next_time(now), parts.dispatcher.next_time())
        self._answered = 0
        for key, mask in parts.selector.select(max(0.0, until - now)):
            key.data(mask)
        now = monotonic()
        parts.state.loop_at = now
        if now >= self._tick_at:
            self._tick(now)
        parts.dispatcher.run_once(now, parts.clock.offset_ms)
        want, is_due = (1, False) if parts.traffic.is_fetch_out else parts.dispatcher.want()
        if parts.shutdown.stage is not StopStage.RUNNING:
            want = 0
        parts.traffic.advance(want, is_due=is_due, now=now, idle=parts.dispatcher.idle)
        if self._answered >= NAP_FROM and parts.dispatcher.is_well_stocked:
            time.sleep(NAP_S)

    def _is_over(self, now: float) -> bool:
        parts = self._parts
        if parts.shutdown.stage is StopStage.RUNNING:
            return False
        has_work = any(slot.held or slot.reserved for slot in parts.crew.slots)
        if not has_work and parts.dispatcher.is_empty and parts.traffic.is_idle:
            return True
        if now < self._last_words_until:
            return False
        self.is_clean = False
        log.error(
            events.BROKER_CONNECTION_LOST,
            error="The broker did not take the last outcomes; their leases will run out.",
            unsettled=len(parts.traffic.settlements),
        )
        return True

    # -- slots -----------------------------------------------------------------------------------

    def on_slot(self, slot: Slot, mask: int) -> None:
        """A slot's socket is ready: read its answers, write what waits."""
        if mask & selectors.EVENT_WRITE:
            self._parts.crew.flush(slot)
        if mask & selectors.EVENT_READ:
            self._read(slot, monotonic())
            if slot.is_gone and self._parts.crew.has_lost_zygote:
                # Else the zygote tells how it ended.
                self._on_ended(slot, "unknown: the zygote was lost before", monotonic())

    def _read(self, slot: Slot, now: float) -> None:
        answers = slot.receive()
        finish = self._parts.finisher.finish
        for kind, seq, duration_ms, payload in answers:
            if kind <= wire.OUTCOME:
                finish(slot, kind, seq, duration_ms, payload, now)
            elif kind == wire.STARTED:
                self._on_begun(slot, seq, now)
            elif kind == wire.READY:
                slot.is_ready = True
        self._answered += len(answers)
        if slot.is_retiring or slot.quota == 0:
            self._parts.crew.stop_if_empty(slot)
        elif slot.held:
            self._watch_head(slot)
        if slot.is_gone:
            self._parts.crew.unwatch(slot)  # there is nothing more to read

    def _watch_head(self, slot: Slot) -> None:
        """Come by when the hard limit of what a one-lane slot runs now passes."""
        if slot.lanes == 1:
            head = next(iter(slot.held.values()))
            if head.hard_s is not None:
                self._tick_at = min(self._tick_at, slot.head_since + head.hard_s)

    def _on_begun(self, slot: Slot, seq: int, now: float) -> None:
        entry = slot.held.get(seq)
        if entry is None:
            return
        entry.started_at = now
        if entry.hard_s is not None:
            slot.deadlines[seq] = now + entry.hard_s
            self._tick_at = min(self._tick_at, slot.deadlines[seq])
        if entry.facts.track_started and not entry.is_lost:
            self._parts.finisher.note_started(slot, entry, now)

    def on_zygote(self, _mask: int) -> None:
        """The zygote reports births and ends."""
        parts = self._parts
        try:
            reports = parts.crew.reports()
        except EOFError:
            parts.crew.lost_zygote()
            self._request_stop(StopKind.WARM, monotonic())
            self.is_clean = False
            return
        for report in reports:
            if isinstance(report, Born):
                parts.crew.born(report)
            else:
                self._on_ended(parts.crew.slots[report.slot], report.reason, monotonic())

    def _on_ended(self, slot: Slot, reason: str, now: float) -> None:
        """A slot process is gone: read its last answers, then settle what it left."""
        parts = self._parts
        self._read(slot, now)
        not_begun = slot.recall()
        is_loss = slot.doom is None and not slot.has_been_told
        parts.casualties.settle(slot, reason, now)
        self._return_to_line(not_begun, now)
        parts.crew.ended(slot, now, reason=reason, is_loss=is_loss)
        self._tick_at = now

    def _return_to_line(self, entries: list[Entry], now: float) -> None:
        """What was recalled waits for another slot, or goes back if the worker stops."""
        dispatcher, casualties = self._parts.dispatcher, self._parts.casualties
        dispatcher.take_back(entry for entry in entries if not entry.is_lost)
        if self._parts.shutdown.stage is not StopStage.RUNNING:
            for entry in dispatcher.give_up_all():
                casualties.hand_back(entry, now)

    # -- threads and signals ---------------------------------------------------------------------

    def on_mail(self, _mask: int) -> None:
        """Threads have posted, or a signal came."""
        items, woken_by = self._parts.mailbox.take()
        now = monotonic()
        for signum in woken_by:
            if signum and self._parts.shutdown.on_signal(signum, now):
                self._on_stage(now, signal.Signals(signum).name)
        for item in items:
            handle = self._mail.get(type(item), self._parts.orders.on_control)
            handle(item, now)
        if items:
            self._tick_at = min(self._tick_at, now + BUSY_TICK_S)

    def _on_woken(self, woken: Woken, now: float) -> None:
        self._parts.traffic.on_woken(woken)
        if woken.fetched is not None:
            self._take(woken.fetched, woken.at, now)

    def _on_leases_lost(self, lost: LeasesLost, _now: float) -> None:
        self._parts.state.leases_lost_total += self._parts.orders.on_leases_lost(lost.tokens)

    def _on_revoked(self, revoked: Revoked, now: float) -> None:
        self._parts.orders.on_revoked(revoked.signals, now)

    def _on_cordon(self, cordon: Cordon, now: float) -> None:
        self._parts.traffic.on_cordon(cordon.until_ms, self._parts.clock.now_ms(now))

    def on_step(self, answer: Answer) -> None:
        """Take the answer of an errand."""
        self._on_answer(answer, answer.at)

    def _on_answer(self, answer: Answer, now: float) -> None:
        parts = self._parts
        if not parts.traffic.on_answer(answer):
            return
        parts.finisher.confirmed(answer, now)
        if answer.fetched is not None:
            self._take(answer.fetched, answer.at, now)

    def _take(self, fetched: Fetched, at: float, now: float) -> None:
        parts, deliveries, now_ms = self._parts, fetched.deliveries, fetched.now_ms
        parts.clock.measure(now_ms, at)
        if not parts.state.started:
            parts.state.started = True
            self._on_started()
        if fetched.stamps is not None:
            parts.orders.on_stamps(fetched.stamps, now_ms, now)
        if not deliveries:
            return
        entries = [parts.reader.entry(delivery, now) for delivery in deliveries]
        parts.grants.add(entries, parts.clock.monotonic_at(now_ms) + parts.lease_s)
        if parts.shutdown.stage is not StopStage.RUNNING:
            for entry in entries:
                parts.casualties.hand_back(entry, now)
            return
        runnable = []
        for entry, delivery in zip(entries, deliveries, strict=True):
            if delivery.revoked or (
                entry.is_stamped and parts.orders.revoked_by_stamp(entry, now_ms) is not None
            ):
                parts.orders.revoke_unbegun(entry, now)
            elif not entry.facts.is_known:
                parts.finisher.park(entry, now)
            else:
                if entry.hard_s is not None:
                    self._prepare_hard_limit(entry)
                runnable.append(entry)
        parts.dispatcher.take(runnable)
        self._tick_at = min(self._tick_at, now + BUSY_TICK_S)

    def _prepare_hard_limit(self, entry: Entry) -> None:
        if not self._parts.has_own_process:
            # The worker refuses to start with hard limits of its own; this is one call's.
            log.warning(
                events.SETTING_IGNORED,
                setting="time_limit",
                reason="pool solo cannot kill a task",
                message_id=entry.id,
            )
            entry.hard_s = None
        elif self._parts.crew.has_many_lanes:
            entry.note = True

    # -- stopping --------------------------------------------------------------------------------

    def _request_stop(self, kind: StopKind, now: float) -> None:
        if self._parts.shutdown.request(kind, now):
            self._on_stage(now, kind.name)

    def _on_stage(self, now: float, why: str) -> None:
        parts = self._parts
        stage = parts.shutdown.stage
        parts.state.drain()
        log.info(events.WORKER_DRAINING, stage=stage.name.lower(), reason=why)
        how = "Cold" if stage is StopStage.COLD else "Warm"
        signals.worker_shutting_down.send(parts.state.hostname, sig=why, how=how, exitcode=0)
        for slot in parts.crew.slots:
            parts.dispatcher.take_back(entry for entry in slot.recall() if not entry.is_lost)
        for entry in parts.dispatcher.give_up_all():
            parts.casualties.hand_back(entry, now)
        if stage is StopStage.COLD:
            self._last_words_until = now + LAST_WORDS_S
            parts.crew.is_closing = True
            for entry in parts.dispatcher.give_up_acked():
                parts.casualties.hand_back(entry, now, counted=True)
            for slot in parts.crew.slots:
                if slot.held:
                    parts.crew.kill(slot, crews.COLD_STOP, now)
        parts.traffic.hurry(now)
        self._tick_at = now

    # -- timers ----------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        parts = self._parts
        parts.errand.check(now)
        if parts.shutdown.on_time(now):
            self._on_stage(now, "drain time-out")
        is_busy = not parts.dispatcher.is_empty or any(slot.held for slot in parts.crew.slots)
        next_at = now + (BUSY_TICK_S if is_busy else LONGEST_TURN_S)
        next_at = min(next_at, parts.crew.on_time(now), self._enforce_hard_limits(now))
        if is_busy:
            parts.dispatcher.recall_stalled(now)
            parts.dispatcher.run_once(now, parts.clock.offset_ms)
            parts.casualties.give_up(parts.dispatcher.give_up_waiting(now), now)
        parts.crew.isolate(now, is_needed=parts.dispatcher.has_stuck_suspect)
        if now >= self._next_memory_check:
            self._next_memory_check = now + crews.MEMORY_CHECK_S
            for slot in parts.crew.check_memory(now):
                self._return_to_line(slot.recall(), now)
                parts.crew.stop_if_empty(slot)
        self._note_load()
        if parts.traffic.has_cordon_news:
            parts.traffic.has_cordon_news = False
            parts.beat_soon()  # a scale-down waits for it; what runs was counted just now
        self._tick_at = min(next_at, parts.shutdown.next_time())

    def _enforce_hard_limits(self, now: float) -> float:
        """Kill what is over its hard limit. Returns when the next one passes."""
        next_at = float("inf")
        for slot in self._parts.crew.slots:
            if slot.doom is None:
                over, at = slot.over_hard_limit(now)
                next_at = min(next_at, at)
                if over is not None:
                    slot.doomed_seq = over
                    self._parts.crew.kill(slot, crews.HARD_LIMIT, now)
        return next_at

    def _note_load(self) -> None:
        """Refresh the numbers that heartbeats and metrics show."""
        running: dict[str, int] = {}
        busy = held = 0
        for slot in self._parts.crew.slots:
            held += len(slot.held)
            begun = slot.begun()
            busy += begun
            for entry, _ in zip(slot.held.values(), range(begun), strict=False):
                running[entry.queue] = running.get(entry.queue, 0) + 1
        state = self._parts.state
        state.busy = busy
        state.running = running
        # A cordon that came while a fetch is out: nobody knows yet what that one brings.
        unknown = state.cordoned and self._parts.traffic.is_fetching
        state.leased = held + self._parts.dispatcher.waiting + unknown
        now = monotonic()
        if now >= self._next_roll_call:
            # The lease keeper looks for revokes among them; a copy, since it is another thread.
            self._next_roll_call = now + LONGEST_TURN_S
            self.ids_in_hand = [e.id for slot in self._parts.crew.slots for e in slot.held.values()]
