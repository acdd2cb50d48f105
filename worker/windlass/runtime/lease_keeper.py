"""The thread that keeps this worker's leases and says that it is alive, whatever else goes on.

Every third of a lease: one renewal for all grants, one heartbeat, and a look at the tombstones of
what is in hand (revokes that came while nobody listened). A heartbeat alone goes at once when
somebody waits for it: a scale-down, to see that its cordon has come and that nothing runs.

The thread shares nothing with the supervisor's loop but the list of grants, so neither a busy loop
nor a stuck task can let a lease run out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import msgspec

from windlass import events
from windlass.errors import BrokerError
from windlass.log import get_logger
from windlass.runtime.exchange import Backoff
from windlass.runtime.hand import Grants

log = get_logger(__name__)

#: How long the first heartbeat waits for the worker to listen, seconds.
LISTENS_WITHIN_S = 5.0


class LeasesLost(msgspec.Struct, kw_only=True):
    """Grants that are not ours any more: reaped after a pause longer than the lease."""

    tokens: frozenset[int]


class Revoked(msgspec.Struct, kw_only=True):
    """Messages that are revoked -> the signal that ends a run, '' to leave a run alone."""

    signals: dict[str, str]


class Cordon(msgspec.Struct, kw_only=True):
    """Until when the operator wants this worker to take nothing, broker's clock ms, 0: not."""

    until_ms: int


class LeaseKeeper:
    """The thread.

    Args:
        broker: Renews; used by this thread alone for the time of a call.
        grants: What to renew.
        lease_s: Length of a lease.
        beat: Sends the heartbeat.
        ids_in_hand: What to look for among the tombstones.
        chores: Upkeep, called once a round.
        listens: Waits, seconds at most, until the worker hears what is said to workers: who finds
            its heartbeat may tell it something.
        post: Takes LeasesLost and Revoked.
    """

    def __init__(  # noqa: PLR0913 - one caller, which names them all
        self,
        broker: Any,  # RedisBroker: the Broker protocol and `revoked`
        grants: Grants,
        lease_s: float,
        *,
        beat: Callable[[], object],
        ids_in_hand: Callable[[], list[str]],
        post: Callable[[object], None],
        chores: Callable[[], object] = lambda: None,
        listens: Callable[[float], object] = lambda _timeout_s: True,
    ) -> None:
        self._broker = broker
        self._grants = grants
        self._lease_s = lease_s
        self._beat = beat
        self._ids_in_hand = ids_in_hand
        self._post = post
        self._chores = chores
        self._listens = listens
        self._called = threading.Event()
        self._stop = threading.Event()
        self._backoff = Backoff()
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; does not wait for it."""
        self._stop.set()
        self._called.set()

    def beat_soon(self) -> None:
        """Have a heartbeat go now; leases keep their own time."""
        self._called.set()

    def _run(self) -> None:
        # A worker that cannot listen is shown all the same, before a lease of it could run out.
        self._listens(min(LISTENS_WITHIN_S, self._lease_s / 2))
        next_at = monotonic()  # the first heartbeat at once: the operator waits for it
        while not self._stop.is_set():
            is_called = self._called.wait(max(0.0, next_at - monotonic()))
            self._called.clear()
            if self._stop.is_set():
                return
            is_due = monotonic() >= next_at or not is_called
            pause_s = self._guarded(self.run_once if is_due else self._beat)
            if is_due:
                next_at = monotonic() + pause_s

    def _guarded(self, work: Callable[[], object]) -> float:
        """Do some work; returns the pause before the next round, seconds."""
        started = monotonic()
        try:
            work()
        except BrokerError as error:
            log.debug(events.LEASE_KEEPER_FAILED, error=str(error))
            return min(self._backoff.next_s(), self._lease_s / 3)
        except Exception:
            log.exception(events.LEASE_KEEPER_FAILED)
            return self._lease_s / 3
        self._backoff.reset()
        return max(0.0, self._lease_s / 3 - (monotonic() - started))

    def run_once(self) -> None:
        """Renew, beat, look for revokes, keep order."""
        self.renew()
        self._beat()
        ids = self._ids_in_hand()
        if ids:
            signals = self._broker.revoked(ids)
            if signals:
                self._post(Revoked(signals=signals))
        self._chores()

    def renew(self) -> None:
        """Extend every grant; what is lost is posted."""
        tokens = self._grants.by_queue()
        if not tokens:
            return
        sent_at = monotonic()
        lost = self._broker.renew(tokens, round(self._lease_s * 1000))
        kept = {token for owned in tokens.values() for token in owned}.difference(lost)
        self._grants.renewed(kept, sent_at + self._lease_s)
        if lost:
            self._post(LeasesLost(tokens=frozenset(lost)))
