"""Gives messages to slots: one to each free lane, batches of what is measured to be short.

What cannot be given to any slot for a second goes back to the broker, and so does what waits
behind a message that runs long, unless another slot is free. Nothing is hoarded.
For the supervisor's loop only. Next in the walk: `windlass.runtime.slots`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from windlass import events
from windlass import log as logs
from windlass.runtime import pacing
from windlass.runtime.hand import Entry
from windlass.runtime.rates import HOLD_S
from windlass.runtime.settle import Settler
from windlass.runtime.slots import Slot
from windlass.runtime.traffic import Traffic

log = logs.get_logger(__name__)

#: A message that found no slot for so long goes back, and a slot whose running message takes so
#: long gets back what waits behind it, seconds.
PATIENCE_S = 1.0
#: So many suspects wait for a process to themselves, each so long, seconds. The others come again
#: later, so that they are in nobody's way.
SUSPECTS_IN_LINE = 2
SUSPECTS_PATIENCE_S = 5.0
#: A process in which so many messages wait will not run dry while the loop naps.
WELL_STOCKED = 60


class Dispatcher:
    """Messages in hand that are in no slot, and the rules by which they get into one.

    Attributes:
        held: Waiting for a slot, oldest first.
        acking: Being acknowledged before they begin (acks_late=False), by id.
        has_stuck_suspect: A message that is to run alone found no process for that.
    """

    def __init__(
        self,
        slots: list[Slot],
        traffic: Traffic,
        settler: Settler,
        on_sending: Callable[[Slot], None],
    ) -> None:
        self._slots = slots
        self._traffic = traffic
        self._settler = settler
        self._on_sending = on_sending
        self._mix = pacing.Mix()
        #: Whether every slot has work for longer than a nap of the loop; as of the last `want`.
        self.is_well_stocked = False
        #: Lanes that could begin at once, negative: messages beyond the lanes; likewise.
        self.idle = 0
        self.has_stuck_suspect = False
        self.held: deque[Entry] = deque()
        self.acking: dict[str, tuple[Entry, Slot]] = {}
        #: Over their rate limit by a moment: (when, entry).
        self._limited: list[tuple[float, Entry]] = []

    @property
    def is_empty(self) -> bool:
        """Whether every message in hand is in a slot."""
        return not (self.held or self.acking or self._limited)

    def take(self, entries: list[Entry]) -> None:
        """Take what was fetched."""
        self._mix.record([entry.facts.run_time.estimate_s for entry in entries])
        self.held.extend(entries)

    def take_back(self, entries: Iterable[Entry]) -> None:
        """Take what a slot did not begin: first in line."""
        self.held.extendleft(reversed(list(entries)))

    def want(self) -> tuple[int, bool]:
        """Return (how many messages there is room for, whether it is time to fetch)."""
        mean_s = self._mix.mean_s
        room = full = 0
        idle = -len(self.held) - len(self._limited)
        has_idle_lane = False
        self.is_well_stocked = True
        for slot in self._slots:
            if slot.is_open_for_work and not slot.is_isolated:
                room += slot.room(mean_s)
                full += pacing.room_for(slot.lanes, 0, 0.0, mean_s)
                held = len(slot.held)
                idle += slot.lanes - held - slot.reserved
                has_idle_lane = has_idle_lane or held + slot.reserved < slot.lanes
                if held - slot.lanes < max(WELL_STOCKED, slot.lanes):
                    self.is_well_stocked = False
        self.idle = idle
        want = room - len(self.held) - len(self._limited)
        return want, pacing.is_refill_due(want, full, idle_lanes=has_idle_lane)

    def run_once(self, now: float, clock_offset_ms: float) -> None:
        """Give out what can be given out."""
        if self._limited:
            self._release_limited(now)
        if not self.held:
            self.has_stuck_suspect = False
            return
        open_slots = [slot for slot in self._slots if slot.is_open_for_work]
        if not open_slots:
            return
        open_slots.sort(key=lambda slot: (len(slot.held) >= slot.lanes, slot.load_s))
        for slot, entries in self._deal(open_slots, now):
            slot.send(entries, clock_offset_ms, now)
            if slot.is_sending:
                self._on_sending(slot)

    def _deal(self, slots: list[Slot], now: float) -> list[tuple[Slot, list[Entry]]]:
        """Go round the slots; a message that no slot takes stays, the next one is tried."""
        hands: list[tuple[Slot, list[Entry]]] = [(slot, []) for slot in slots]
        held, count, turn = self.held, len(slots), 0
        kept: list[Entry] = []
        misses = 0
        cleared = self._cleared(slots) if self.has_stuck_suspect else None
        self.has_stuck_suspect = False
        while held and misses < count + pacing.MESSAGES_PER_LANE:
            entry = held.popleft()
            for offset in range(count):
                slot, hand = hands[(turn + offset) % count]
                if slot.takes(entry) and (slot is not cleared or entry.is_suspect):
                    turn = (turn + offset + 1) % count
                    is_plain = entry.facts.bucket is None and not entry.acks_early
                    if is_plain or self._may_begin(entry, slot, now):
                        slot.plan(entry)
                        hand.append(entry)
                    break
            else:
                misses += 1
                kept.append(entry)
                self.has_stuck_suspect |= entry.is_suspect
        held.extendleft(reversed(kept))
        return [(slot, hand) for slot, hand in hands if hand]

    @staticmethod
    def _cleared(slots: list[Slot]) -> Slot | None:
        """Return the slot that is given nothing more, so that a suspect finds it empty soon."""
        single = [slot for slot in slots if slot.lanes == 1]
        return min(single, key=lambda slot: slot.load_s, default=None)

    def _may_begin(self, entry: Entry, slot: Slot, now: float) -> bool:
        """Whether it goes to the slot now; else it was taken care of in another way."""
        bucket = entry.facts.bucket
        if bucket is not None and not entry.is_acked:
            wait_s = bucket.take(now)
            if wait_s > HOLD_S:
                self._traffic.settle(self._settler.deferred(entry, bucket.defer(now)), now)
                return False
            if wait_s > 0:
                self._limited.append((now + wait_s, entry))
                return False
        if entry.acks_early and not entry.is_acked:
            slot.reserved += 1
            self.acking[entry.id] = (entry, slot)
            self._traffic.settle(self._settler.acknowledge(entry), now)
            self._traffic.hurry(now)
            return False
        return True

    def acknowledged(self, message_id: str, *, is_ours: bool) -> None:
        """The broker has acknowledged a message (or refused to): now it begins, or is dropped."""
        entry, slot = self.acking.pop(message_id)
        slot.reserved -= 1  # of a dead slot's handle too: then it means nothing
        if is_ours:
            entry.is_acked = True
            self.held.appendleft(entry)

    def _release_limited(self, now: float) -> None:
        due = [entry for at, entry in self._limited if at <= now]
        if due:
            self._limited = [(at, entry) for at, entry in self._limited if at > now]
            self.held.extendleft(reversed(due))

    def next_time(self) -> float:
        """When a message that waits for its rate limit is due, monotonic seconds."""
        return min((at for at, _ in self._limited), default=float("inf"))

    def give_up_waiting(self, now: float) -> list[Entry]:
        """Take out what has found no slot for too long, or waits behind other suspects.

        It goes back to the broker.
        """
        given_up, suspects = [], 0
        for entry in self.held:
            suspects += entry.is_suspect
            patience_s = PATIENCE_S
            if entry.is_suspect:
                patience_s = SUSPECTS_PATIENCE_S if suspects <= SUSPECTS_IN_LINE else 0.0
            if now - entry.fetched_at > patience_s and not entry.is_acked:
                given_up.append(entry)
        if given_up:
            gone = {id(entry) for entry in given_up}
            self.held = deque(entry for entry in self.held if id(entry) not in gone)
        return given_up

    def give_up_all(self) -> list[Entry]:
        """Take out all that is in no slot and not acknowledged; for a drain."""
        given_up = [entry for entry in self.held if not entry.is_acked]
        given_up += [entry for _, entry in self._limited]
        self.held = deque(entry for entry in self.held if entry.is_acked)
        self._limited = []
        return given_up

    def recall_stalled(self, now: float) -> None:
        """Take back what waits behind messages that run long."""
        for slot in self._slots:
            if len(slot.held) > slot.lanes and now - slot.head_since > PATIENCE_S:
                recalled = slot.recall()
                slot.is_stalled = True
                if recalled:
                    log.info(events.SLOT_STALLED, slot=slot.index, recalled=len(recalled))
                    self.take_back(recalled)

    def give_up_acked(self) -> list[Entry]:
        """Take out what was acknowledged and has not begun; for a cold stop."""
        given_up = list(self.held)
        self.held.clear()
        return given_up

    def in_no_slot(self) -> list[Entry]:
        """Return the messages in hand that are in no slot."""
        acking = [entry for entry, _ in self.acking.values()]
        return [*self.held, *(entry for _, entry in self._limited), *acking]

    @property
    def waiting(self) -> int:
        """Messages in hand that are in no slot."""
        return len(self.held) + len(self._limited) + len(self.acking)

    def drop_lost(self, tokens: frozenset[int]) -> int:
        """Forget messages whose lease was lost; those being acknowledged find out by themselves."""
        before = self.waiting
        self.held = deque(e for e in self.held if e.token not in tokens or e.is_acked)
        self._limited = [(at, e) for at, e in self._limited if e.token not in tokens]
        return before - self.waiting

    def remove(self, message_ids: frozenset[str]) -> list[Entry]:
        """Take messages out that are in no slot, e.g. revoked ones."""
        found = [entry for entry in self.held if entry.id in message_ids]
        found += [entry for _, entry in self._limited if entry.id in message_ids]
        if found:
            gone = {id(entry) for entry in found}
            self.held = deque(entry for entry in self.held if id(entry) not in gone)
            self._limited = [(at, e) for at, e in self._limited if id(e) not in gone]
        return found
