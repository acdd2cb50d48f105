"""The ticker: fires what is due, on time, and never twice; any number of them may run at once.

    tick     take or keep the lead, learn the broker's clock, list what is due within `AHEAD_MS`
    prepare  load those schedules, decide, build their messages: before they are due
    fire     when the broker's clock says so: one script for each nominal time
    wait     until the next of these, or until somebody changes a schedule

All state is on the broker. The lead only spares the others the work: what a ticker does that has
lost it without noticing (stopped, paused, cut off) is refused by the script, since the nominal time
was dealt with. This machine's clock is never asked, only how much time has passed.
Next in the walk: `windlass.redis_store.schedules`, fire_schedule.lua.
"""

from __future__ import annotations

import os
import socket
import threading
from collections import Counter
from collections.abc import Callable
from time import monotonic

import msgspec

from windlass import events
from windlass.beat import due
from windlass.beat.entry import CatchUp, Entry, Overlap
from windlass.beat.record import Schedule, read_record
from windlass.beat.store import Fire, Tick
from windlass.control_plane.schedule_runs import end_runs
from windlass.control_plane.schedules import AnyBroker, schedules_of
from windlass.errors import BrokerError, DecodeError, OperationalError, ScheduleError
from windlass.log import get_logger
from windlass.runtime.broker_clock import BrokerClock

log = get_logger(__name__)

#: What is due within so long is prepared, milliseconds.
AHEAD_MS = 2_000
#: Schedules that are prepared at once.
LIMIT = 2_000
#: How long the lead is taken for, seconds: another ticker steps in so late at the most.
LEAD_S = 5.0
#: A ticker looks at least this often.
MAX_INTERVAL_S = 5.0
#: After an error of the broker, seconds.
_PAUSE_S = 1.0
#: What a fire was answered with and is told to people.
_TOLD = {
    "FIRED": events.SCHEDULE_FIRED,
    "MISSED": events.SCHEDULE_MISSED,
    "OVERLAP": events.SCHEDULE_OVERLAPPED,
}


class Summary(msgspec.Struct, frozen=True):
    """What one step did.

    Attributes:
        leads: Whether this ticker has the lead.
        wait_s: When to step again, unless a schedule is changed before.
        answers: How many fires were answered with what ("FIRED", "PAST", ..).
    """

    leads: bool
    wait_s: float
    answers: dict[str, int] = {}


class Ticker:
    """Fires the schedules of one keyspace.

    `run` is for a thread or process of its own; the operator calls `run_once` again and again.

    Args:
        broker: Where. A ticker that runs beside a worker has a broker of its own.
        holder: Its name among tickers; by default host, process and a random part.
        on_lead: Called when this ticker takes the lead, and when the broker has lost schedules: the
            moment to declare them (again).
        on_answer: Called as on_answer(fire, what, now_ms) for each fire; for tests and metrics.
        lead_s: How long the lead is taken for.
        max_interval_s: Look at least this often.
    """

    def __init__(
        self,
        broker: AnyBroker,
        *,
        holder: str | None = None,
        on_lead: Callable[[], None] | None = None,
        on_answer: Callable[[Fire, str, int], None] | None = None,
        lead_s: float = LEAD_S,
        max_interval_s: float = MAX_INTERVAL_S,
    ) -> None:
        self.holder = holder or f"{socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"
        self.clock = BrokerClock()
        self._broker = broker
        self._store = schedules_of(broker)
        self._on_lead, self._on_answer = on_lead, on_answer
        self._lead_ms = round(lead_s * 1000)
        self._max_interval_ms = round(max_interval_s * 1000)
        self._prepared: list[Fire] = []  # the earliest last
        self._tick_at_ms = 0
        self._changes = 0
        self._leads = False
        #: Names and generations that were complained of.
        self._unreadable: set[tuple[str, bytes]] = set()
        self._stopping = threading.Event()
        #: For probes, monotonic seconds: the last turn of `run`, the last answer of the broker.
        self.turned_at = monotonic()
        self.answered_at = float("-inf")

    # -- one step

    def run_once(self, *, look: bool = True) -> Summary:
        """Fire what is due, and say when to come again.

        Args:
            look: Look for changes; else only when it is time to.

        Raises:
            OperationalError: The broker cannot be reached. Nothing is lost; step again.
        """
        if look or self._now_ms() >= self._tick_at_ms:
            self._tick()
        answers = self._fire_due()
        if answers and self._now_ms() >= self._tick_at_ms:
            self._tick()
        next_ms = self._tick_at_ms
        if self._prepared:
            next_ms = min(next_ms, self._prepared[-1].fire_at_ms + 1)
        wait_s = self.clock.monotonic_at(next_ms) - monotonic()
        # Never longer than this, whatever clocks have done meanwhile.
        wait_s = min(max(0.0, wait_s), self._max_interval_ms / 1000)
        return Summary(self._leads, wait_s, dict(answers))

    def _now_ms(self) -> int:
        return self.clock.now_ms(monotonic())

    def _tick(self) -> None:
        tick = self._ask(self._lead_ms)
        if tick.leads and (not self._leads or tick.changes < self._changes):
            self._take_lead(is_new=not self._leads)
            tick = self._ask(self._lead_ms)
        if self._leads and not tick.leads:
            log.warning(events.BEAT_LEAD_LOST, holder=self.holder)
        self._leads, self._changes = tick.leads, tick.changes
        if not tick.leads:
            self._prepared = []
            self._tick_at_ms = min(tick.until_ms + 1, tick.now_ms + self._max_interval_ms)
            return
        self._prepare(tick)
        pause_ms = min(self._lead_ms // 3, self._max_interval_ms)
        self._tick_at_ms = tick.now_ms + pause_ms
        if tick.head_ms:
            soon_ms = max(tick.head_ms - AHEAD_MS, tick.now_ms + AHEAD_MS // 4)
            is_cut = len(tick.due) >= LIMIT
            self._tick_at_ms = min(self._tick_at_ms, tick.now_ms if is_cut else soon_ms)

    def _ask(self, lead_ms: int) -> Tick:
        asked = monotonic()
        tick = self._store.tick(self.holder, lead_ms=lead_ms, ahead_ms=AHEAD_MS, limit=LIMIT)
        self.answered_at = monotonic()
        self.clock.measure(tick.now_ms, self.answered_at, asked)
        return tick

    def _take_lead(self, *, is_new: bool) -> None:
        if is_new:
            log.info(events.BEAT_LEAD_TAKEN, holder=self.holder)
        self._leads = True
        if self._on_lead is not None:
            try:
                self._on_lead()
            except (ScheduleError, DecodeError) as error:
                # Its text is all there is to say.
                log.error(events.SCHEDULE_REFUSED, error=str(error))  # noqa: TRY400 - as said

    # -- deciding

    def _prepare(self, tick: Tick) -> None:
        """Have fires ready for what is listed; what was decided before and still holds is kept."""
        kept = {(fire.name, fire.fire_at_ms): fire for fire in self._prepared}
        fires = [kept[item] for item in tick.due if item in kept]
        new = [(name, at) for name, at in tick.due if (name, at) not in kept]
        loaded = self._store.load([name for name, _ in new])
        for (name, at_ms), fields in zip(new, loaded, strict=True):
            if fields:
                fires += self._decided(name, fields, max(at_ms, tick.now_ms))
        self._prepared = fires
        self._sort()

    def _sort(self) -> None:
        self._prepared.sort(key=lambda fire: (-fire.fire_at_ms, -fire.nominal_ms))

    def _decided(self, name: str, fields: dict[str, bytes], now_ms: int) -> list[Fire]:
        try:
            schedule = read_record(name, fields)
        except DecodeError as error:
            known = (name, fields["generation"])
            if known not in self._unreadable:
                self._unreadable.add(known)
                # Its text is all there is to say.
                log.error(events.SCHEDULE_REFUSED, error=str(error))  # noqa: TRY400 - as said
            return []
        return fires_of(schedule, now_ms)

    # -- firing

    def _fire_due(self) -> Counter[str]:
        answers: Counter[str] = Counter()
        now_ms, batch = self._now_ms(), list[Fire]()
        while self._prepared and self._prepared[-1].fire_at_ms <= now_ms:
            batch.append(self._prepared.pop())
        if not batch:
            return answers
        self._replace(batch)
        asked = monotonic()
        fired = self._store.fire(batch)
        self.clock.measure(fired[-1].now_ms, monotonic(), asked)
        for fire, (what, at_ms) in zip(batch, fired, strict=True):
            answers[what] += 1
            self._note(fire, what, at_ms)
        if answers["EARLY"]:
            self._sort()
        return answers

    def _replace(self, batch: list[Fire]) -> None:
        """End the runs that are to be replaced. Before the fire: a crash in between fires again."""
        replacing = {
            fire.name: fire.nominal_ms
            for fire in batch
            if fire.overlap == Overlap.REPLACE and fire.fires
        }
        if replacing:
            end_runs(self._broker, replacing)

    def _note(self, fire: Fire, what: str, at_ms: int) -> None:
        if what == "EARLY":
            self._prepared.append(fire)  # the clock has just been measured anew
        elif what in ("LATE", "CHANGED"):
            self._tick_at_ms = 0  # to be decided anew
        elif fire.next_at_ms is not None:
            self._tick_at_ms = min(self._tick_at_ms, max(at_ms, fire.next_at_ms - AHEAD_MS // 4))
        event = _TOLD.get(what)
        if event is not None:
            log.info(
                event,
                schedule=fire.name,
                message_id=fire.message.id,
                late_ms=at_ms - fire.fire_at_ms,
                missed=fire.missed,
            )
        if self._on_answer is not None:
            self._on_answer(fire, what, at_ms)

    # -- the loop

    def run(self) -> None:
        """Fire until `stop` is called. A broker that is away is waited for."""
        look = True
        try:
            while not self._stopping.is_set():
                self.turned_at = monotonic()
                try:
                    step = self.run_once(look=look)
                    look = self._wait(step.wait_s) or step.wait_s >= self._max_interval_ms / 1000
                except BrokerError as error:
                    if self._stopping.is_set():
                        return
                    self._store.close()
                    log.warning(events.BEAT_BROKER_FAILED, error=str(error))
                    self._stopping.wait(_PAUSE_S)
                    look = True
        finally:
            self._give_up_lead()
            self._store.close()

    def _wait(self, wait_s: float) -> bool:
        """Wait; whether there was a change. Many changes at once are one."""
        if not self._store.wait(wait_s):
            return False
        for _ in range(LIMIT):
            if not self._store.wait(0):
                break
        return True

    def _give_up_lead(self) -> None:
        if self._leads:
            self._leads = False
            try:
                self._ask(0)
            except OperationalError:
                return  # it runs out by itself

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End `run`; from any thread. The lead is given up: another ticker steps in at once."""
        self._stopping.set()
        self._store.interrupt()


def fires_of(schedule: Schedule, now_ms: int) -> list[Fire]:
    """Return what is to be done about a schedule at a time, one fire for each nominal time."""
    entry, base = schedule.entry, schedule.base
    decided = due.decide(entry, base, now_ms)
    if not decided.passed_ms:
        return []
    nominals = decided.fire or (decided.passed_ms,)
    fires, missed = [], decided.missed
    for at, nominal_ms in enumerate(nominals):
        following = nominals[at + 1] if at + 1 < len(nominals) else None
        if following is None:
            following = due.next_nominal(entry, due.Base(base.uid, nominal_ms, base.since_ms))
        fires.append(_fire_of(schedule, nominal_ms, following, missed, bool(decided.fire)))
        missed = 0
    return fires


def _fire_of(
    schedule: Schedule, nominal_ms: int, following: int | None, missed: int, fires: bool
) -> Fire:
    entry, uid = schedule.entry, schedule.uid
    fire_at_ms = due.fires_at(entry, uid, nominal_ms)
    return Fire(
        name=entry.name,
        generation=schedule.generation,
        nominal_ms=nominal_ms,
        fire_at_ms=fire_at_ms,
        latest_ms=_latest_ms(entry, fire_at_ms),
        next_at_ms=None if following is None else due.fires_at(entry, uid, following),
        message=entry.message(uid, nominal_ms),
        missed=missed,
        fires=fires,
        overlap=entry.overlap.value,
        max_runs=entry.max_runs,
    )


def _latest_ms(entry: Entry, fire_at_ms: int) -> int | None:
    if entry.starting_deadline_s is None and entry.catch_up is not CatchUp.NONE:
        return None
    return round(fire_at_ms + entry.deadline_ms)
