"""What goes to the broker and when: coalesces settlements, asks for work, gets over outages.

At most one fetch is on its way: the exchange's or the waker's. A settlement leaves with the next
fetch if one is due, else by itself within a few milliseconds; it never waits for a running task.
The end of a workflow's step brings the next step: a fetch goes with it even while the waker waits,
for no more than there is room for beside what the waker may bring.
For the supervisor's loop only. Next in the walk: `windlass.runtime.exchange`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from windlass import events
from windlass.brokers.base import Fetched, FetchRequest, Settlement
from windlass.errors import BrokerError, BrokerFullError, BrokerReadOnlyError, OperationalError
from windlass.log import get_logger
from windlass.runtime.exchange import Answer, Backoff, Exchange, Job, Started, Waker, Woken
from windlass.runtime.settle import Unfenced
from windlass.runtime.state import WorkerState

log = get_logger(__name__)

#: Departures are at least so far apart, seconds: a lone outcome leaves at once, many gather.
COALESCE_S = 0.003
#: After a step brought the next one and nothing else, the queue is left alone so long, seconds:
#: the next commit asks again, most likely before.
QUIET_S = 0.003
#: Steps of workflows may follow each other so long, seconds, each leased in the commit of the one
#: before, until a fetch looks at the queues again; the first few of them as long as that.
STEPS_S = 0.01
FEW_STEPS, FEW_STEPS_S = 8, 0.05
#: So long no step is tried that way, seconds, after one could not be: other messages are waiting.
NO_STEPS_S = 0.05
#: A waiting worker looks again at least this often, seconds.
WAIT_S = 5.0
#: A wait that is to end and does not is interrupted again after so long, seconds.
INTERRUPT_AGAIN_S = 0.2
#: A cordoned worker asks so often whether it still is, seconds.
CORDON_POLL_S = 1.0
#: After so many refusals of a job by the server its settlements are sent one by one.
TRIES_TOGETHER = 3
#: An outage ends once: what breaks so soon after it is a leftover of it.
SAME_OUTAGE_S = 1.0

_OUTAGES = (OperationalError, BrokerFullError, BrokerReadOnlyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What every fetch of this worker has in common."""

    worker_id: str
    queues: tuple[str, ...]
    lease_s: float
    strict: bool = False


class Traffic:
    """The loop's side of exchange and waker.

    Args:
        terms: Of every fetch.
        exchange: Takes jobs.
        waker: Waits.
        state: Says whether the broker answers.
        on_dropped: Told of a settlement that the server does not take: its lease is to run out.

    Attributes:
        settlements: Not sent yet.
        next_due_at: Monotonic time when the broker has something due, inf if nothing.
        is_registered: The last fetch found nothing: the broker wakes us when there is something.
        has_cordon_news: A cordon came, went, or was seen again since somebody last looked here.
    """

    def __init__(
        self,
        terms: Terms,
        exchange: Exchange,
        waker: Waker,
        state: WorkerState,
        on_dropped: Callable[[Settlement], None],
    ) -> None:
        self._terms = terms
        self._on_dropped = on_dropped
        self._exchange = exchange
        self._waker = waker
        self._state = state
        self._backoff = Backoff()
        self._retry_at = 0.0
        self._outage_since = 0.0
        self._reconnected_at = -SAME_OUTAGE_S
        self._flush_at = float("inf")
        self._next_fetch_at = 0.0
        self._departed_at = 0.0
        self._quiet_until = 0.0
        #: Steps are leased in a commit from then on; since the queues were looked at, so many were.
        self._steps_from = 0.0
        self._looked_at = -FEW_STEPS_S
        self._steps = 0
        self._tries_step = False
        self._expects_next = self._brings_next = False
        self._waker_wants = 0
        self._stamps_seen = 0
        self._idle: int | None = None
        self._interrupt_at = 0.0
        self._was_interrupted = False
        self._is_wait_outdated = False
        self._unparked: dict[str, int] = {}
        self._sent_one_by_one = False
        self._tries = 0
        self.settlements: list[Settlement] = []
        self.started: list[Started] = []
        self.unfenced: list[Unfenced] = []
        self._reap: tuple[str, ...] = ()
        self._unpark: tuple[str, ...] = ()
        self.next_due_at = float("inf")
        self.is_registered = False
        self.has_cordon_news = False
        self._is_fetch_out = False

    @property
    def is_idle(self) -> bool:
        """Nothing is on its way and nothing waits to go."""
        return not (
            self._exchange.is_busy
            or self._waker.is_armed
            or self.settlements
            or self.started
            or self.unfenced
        )

    @property
    def is_fetching(self) -> bool:
        """A fetch, or a wait that ends in one, is on its way."""
        return self._waker.is_armed or self._is_fetch_out

    @property
    def is_fetch_out(self) -> bool:
        """A fetch is on its way, and no wait: until it is back, nobody asks for more."""
        return self._is_fetch_out and not self._waker.is_armed

    def serve(self, queues: tuple[str, ...]) -> None:
        """Fetch from these queues from now on; with none, nothing is fetched."""
        self._terms = replace(self._terms, queues=queues)
        self._state.queues = queues
        self.is_registered = False
        self._next_fetch_at = 0.0
        self._is_wait_outdated = self._waker.is_armed

    def settle(self, settlement: Settlement, now: float) -> None:
        """Have something settled soon."""
        if not self.settlements:
            self._flush_at = min(self._flush_at, max(now, self._departed_at + COALESCE_S))
        self.settlements.append(settlement)

    def hurry(self, now: float) -> None:
        """Let what waits go with the next pass of the loop."""
        self._flush_at = now

    def expect_next(self) -> None:
        """What is settled now has work follow: fetch with it, if there is room."""
        self._expects_next = True

    def next_time(self, now: float) -> float:
        """When the loop has to come by again at the latest, monotonic seconds."""
        if self._exchange.is_busy:
            return float("inf")
        if self.settlements or self.started or self.unfenced:
            return max(self._flush_at, self._retry_at)
        at = max(self._retry_at, self._next_fetch_at, self._quiet_until)
        return at if at > now else float("inf")

    def advance(self, want: int, *, is_due: bool, now: float, idle: int | None = None) -> None:
        """Send what is to be sent: settlements, a fetch for `want` messages if one is due.

        Args:
            want: Messages there is room for; 0 while draining.
            is_due: Whether it is time to fetch (see `pacing.is_refill_due`).
            now: Monotonic seconds.
            idle: Lanes that could begin at once, see `FetchRequest`; None: any number.
        """
        self._idle = idle
        if not self._terms.queues:
            want = 0
        is_useless = want <= 0 or self._is_wait_outdated
        if is_useless and self._waker.is_armed and now >= self._interrupt_at:
            # There is no room any more for what the wait would bring, or it waits for other queues.
            # (Again after a moment: it may not have been blocked yet.)
            self._interrupt_at = now + INTERRUPT_AGAIN_S
            self._was_interrupted = True
            self._waker.interrupt()
        if now < self._retry_at:
            return
        may_fetch = want > 0 and is_due and now >= self._next_fetch_at and not self._is_fetch_out
        if may_fetch and self._expects_next and self.settlements:
            want -= self._waker_wants if self._waker.is_armed else 0
            may_fetch = want > 0
        elif may_fetch and (self._waker.is_armed or now < self._quiet_until):
            may_fetch = False
        elif may_fetch and self.is_registered and not self._state.cordoned:
            # The broker knows that we wait: block instead of asking.
            self.is_registered = False
            self._waker_wants = want
            self._waker.arm(self._request(want), self._wait_s(now))
            may_fetch = False
        if self._exchange.is_busy:
            return
        has_parcel = self.settlements or self.started or self.unfenced or self._reap or self._unpark
        if may_fetch or (has_parcel and now >= self._flush_at) or self._reap or self._unpark:
            self._departed_at = now
            self._tries_step = may_fetch and self._may_skip_look(now)
            self._submit(self._request(want, self._tries_step) if may_fetch else None)

    def _may_skip_look(self, now: float) -> bool:
        """Whether it is enough to lease what a lone step releases."""
        until = self._looked_at + (FEW_STEPS_S if self._steps < FEW_STEPS else STEPS_S)
        return (
            self._expects_next
            and len(self.settlements) == 1
            and self._steps_from <= now < min(until, self.next_due_at)
        )

    def _wait_s(self, now: float) -> float:
        return min(WAIT_S, max(0.001, self.next_due_at - now))

    def _request(self, want: int, step_only: bool = False) -> FetchRequest:
        terms = self._terms
        return FetchRequest(
            worker_id=terms.worker_id,
            queues=terms.queues,
            want=want,
            lease_ms=round(terms.lease_s * 1000),
            wait_ms=round(WAIT_S * 1000),
            strict=terms.strict,
            stamps_seen=self._stamps_seen,
            step_only=step_only,
            idle=self._idle,
        )

    def _submit(self, request: FetchRequest | None) -> None:
        settlements = self.settlements
        if self._sent_one_by_one:
            settlements, self.settlements = settlements[:1], settlements[1:]
        else:
            self.settlements = []
        job = Job(
            settlements=settlements,
            request=request,
            started=self.started,
            unfenced=self.unfenced,
            reap=self._reap,
            unpark=self._unpark,
        )
        self.started, self.unfenced, self._reap, self._unpark = [], [], (), ()
        self._flush_at = float("inf")
        self._is_fetch_out = request is not None
        self._brings_next, self._expects_next = self._expects_next, False
        self._exchange.submit(job)

    # -- what comes back -------------------------------------------------------------------------

    def on_answer(self, answer: Answer) -> bool:
        """Take an answer; False when its job failed and will be done again."""
        self._exchange.is_busy = self._is_fetch_out = False
        job = answer.job
        if answer.error is not None:
            self.settlements = job.settlements + self.settlements
            self.started = job.started + self.started
            self.unfenced = job.unfenced + self.unfenced
            self._reap, self._unpark = job.reap, job.unpark
            self._flush_at = answer.at
            self._on_error(answer.error, answer.at, settled=len(job.settlements))
            return False
        self._on_success(answer.at)
        self._sent_one_by_one = self._sent_one_by_one and bool(self.settlements)
        if self.settlements:
            self._flush_at = min(self._flush_at, self._departed_at + COALESCE_S)
        if answer.reaped:
            log.warning(events.LEASES_REAPED, messages=answer.reaped, queues=job.reap)
        if answer.unparked:
            log.info(events.TASKS_UNPARKED, messages=answer.unparked, queues=job.unpark)
        if answer.fetched is not None and job.request is not None:
            self._on_fetched(answer.fetched, answer.at)
            if self._brings_next:
                is_all = 0 < len(answer.fetched.deliveries) < job.request.want
                is_all = is_all or answer.fetched.is_step
                self._quiet_until = answer.at + QUIET_S if is_all else 0.0
            if self._tries_step and not answer.fetched.is_step:
                self._steps_from = answer.at + NO_STEPS_S
        return True

    def on_woken(self, woken: Woken) -> None:
        """Take what came of waiting."""
        self._waker.is_armed = self._is_wait_outdated = False
        self._interrupt_at = 0.0
        was_interrupted, self._was_interrupted = self._was_interrupted, False
        if woken.error is not None:
            if was_interrupted:
                return  # on purpose; with room again, a fetch comes before the next wait
            self._on_error(woken.error, woken.at)
            return
        self._on_success(woken.at)
        if woken.fetched is not None:
            self._on_fetched(woken.fetched, woken.at)

    def _on_fetched(self, fetched: Fetched, at: float) -> None:
        state = self._state
        state.fetched_total += len(fetched.deliveries)
        if fetched.is_step:
            self._steps += 1
            return
        self._looked_at, self._steps = at, 0
        due_ms = fetched.next_due_ms
        self.next_due_at = at + (due_ms - fetched.now_ms) / 1000 if due_ms else float("inf")
        self.is_registered = not fetched.deliveries and not fetched.cordoned
        self._next_fetch_at = at + CORDON_POLL_S if fetched.cordoned else 0.0
        if fetched.keeps != state.keeps and not fetched.cordoned:
            state.keeps.clear()  # in place: the settler looks at it
            state.keeps.update(fetched.keeps)
        if fetched.stamps is not None:
            self._stamps_seen = fetched.stamps.generation
        self._reap = fetched.expired_leases
        self._unpark = tuple(
            queue
            for queue, generation in fetched.parked.items()
            if self._unparked.get(queue) != generation
        )
        self._unparked.update(fetched.parked)
        self.on_cordon(int(fetched.cordoned), fetched.now_ms)

    def on_cordon(self, until_ms: int, now_ms: int) -> None:
        """Note whether the operator wants this worker to take nothing (0: it does not)."""
        state = self._state
        is_cordoned = bool(until_ms)
        self.has_cordon_news = self.has_cordon_news or is_cordoned or state.cordoned
        if is_cordoned != state.cordoned:
            state.cordoned = is_cordoned
            state.cordoned_since_ms = now_ms if is_cordoned else 0
            event = events.WORKER_CORDONED if is_cordoned else events.WORKER_UNCORDONED
            log.info(event, worker_id=self._terms.worker_id)

    def _on_success(self, at: float) -> None:
        state = self._state
        state.progress_at = at
        self._retry_at = 0.0
        self._tries = 0
        self._backoff.reset()
        if not state.connected:
            state.connected = True
            if not self._outage_since:
                log.info(events.BROKER_CONNECTED)
            else:
                state.reconnects_total += 1
                self._reconnected_at = at
                outage_s = round(at - self._outage_since, 1)
                log.info(events.BROKER_RECONNECTED, outage_s=outage_s)

    def _on_error(self, error: Exception, at: float, *, settled: int = 0) -> None:
        self.is_registered = False
        self._retry_at = at + self._backoff.next_s()
        self._tries += 1
        if isinstance(error, _OUTAGES):
            # A link that was made before an outage may be found broken after another was made anew.
            is_news = self._state.connected and at - self._reconnected_at >= SAME_OUTAGE_S
            if is_news or not self._outage_since:
                self._state.connected = False
                self._outage_since = at
                log.warning(events.BROKER_CONNECTION_LOST, error=str(error))
            return
        log.error(events.EXCHANGE_FAILED, exc_info=error, settlements=settled, tries=self._tries)
        if settled > 1 and self._tries >= TRIES_TOGETHER:
            self._sent_one_by_one = True
            self._tries = 0
        elif settled == 1 and self._tries >= TRIES_TOGETHER and isinstance(error, BrokerError):
            # The server does not take this one. Its lease runs out, and the cap on deliveries
            # ends it; everything beside it goes on.
            lost = self.settlements.pop(0)
            self._on_dropped(lost)
            self._tries = 0
            log.error(events.OUTCOME_REFUSED, message_id=lost.id, queue=lost.queue)
