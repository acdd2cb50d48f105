"""Publishes the rows of an outbox: claim, publish, delete. A crash anywhere loses no row.

    claim    rows are marked as this relay's for `claim_s`; the others pass over them
    publish  one round trip; the id is the row's, so an id that is on the broker stays as it is
    delete   what was published is gone; what cannot be is set aside with its reason

Any number of relays run side by side. One that dies in between leaves claims that run out, and its
rows are published again: nothing is lost, and nothing doubled while the broker knows the id (its
message is there, or its outcome is kept).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from windlass import claiming, events
from windlass.errors import BrokerError, WindlassError
from windlass.log import get_logger
from windlass.messages import Outgoing
from windlass.transactional.rows import Row, message_in

if TYPE_CHECKING:
    from windlass.app import Windlass

_log = get_logger(__name__)
#: Rows that are published in one round trip.
BATCH = 500
#: A claim of a relay that died runs out after so long, seconds.
CLAIM_S = 30.0
#: Without being woken a relay looks this often, seconds.
INTERVAL_S = 1.0
_LONGEST_PAUSE_S = 30.0


class Claimed(NamedTuple):
    """A row that is this relay's for a while. `position` orders rows by their insertion."""

    position: int
    row: Row


class Store(Protocol):
    """The table. Every method is a transaction of its own; what it raises is the database's."""

    def claim(self, holder: str, limit: int, claim_s: float) -> list[Claimed]:
        """Mark the oldest rows that are nobody's as the holder's, and return them in order."""

    def delete(self, holder: str, positions: Sequence[int]) -> None:
        """Delete rows that were published, if they are still the holder's."""

    def set_aside(self, holder: str, position: int, reason: str) -> None:
        """Leave a row where it is, with the reason: it is not tried again by itself."""

    def give_up(self, holder: str) -> None:
        """Let go of the holder's claims at once."""


class Summary(msgspec.Struct, frozen=True):
    """What one step did.

    Attributes:
        published: Rows that are on the broker, and deleted.
        set_aside: Rows that can never be published.
        is_full: There may be more.
    """

    published: int = 0
    set_aside: int = 0
    is_full: bool = False


class Relay:
    """Publishes the rows of one table. `run` is for a thread or process of its own.

    Args:
        app: Whose broker.
        store: The table.
        batch: Rows in one step.
        claim_s: How long a claim holds, seconds; longer than a step takes.
        interval_s: Without being woken it looks this often, seconds.
    """

    def __init__(
        self,
        app: Windlass,
        store: Store,
        *,
        batch: int = BATCH,
        claim_s: float = CLAIM_S,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._app = app
        self._store = store
        self._batch = batch
        self._claim_s = claim_s
        self._interval_s = interval_s
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._holder = f"{os.getpid()}-{os.urandom(6).hex()}"

    def run_once(self) -> Summary:
        """Publish the oldest rows, a batch at most.

        Raises:
            BrokerError: The broker cannot be reached or is full; the rows stay, unclaimed.
        """
        claimed = self._store.claim(self._holder, self._batch, self._claim_s)
        if not claimed:
            return Summary()
        now_ms = round(time.time() * 1000)
        good, messages, bad = [], [], 0
        for position, row in claimed:
            try:
                messages.append(message_in(row, now_ms))
                good.append(position)
            except WindlassError as error:
                bad += 1
                self._store.set_aside(self._holder, position, str(error))
                _log.error(
                    events.OUTBOX_ROW_SET_ASIDE, task=row.task, message_id=row.id, reason=str(error)
                )
        try:
            self._publish(messages)
        except BrokerError:
            self._store.give_up(self._holder)
            raise
        self._store.delete(self._holder, good)
        return Summary(len(good), bad, len(claimed) == self._batch)

    def _publish(self, messages: Sequence[Outgoing]) -> None:
        plain = [message for message in messages if message.unique is None]
        if plain:
            self._app.broker.enqueue(plain)
        locked = [message for message in messages if message.unique is not None]
        if locked:
            sent = claiming.Sent(self._app, [], locked)
            self._app.broker.enqueue_unique(locked, result_for=sent.result_for)

    def run(self) -> None:
        """Publish until `stop` is called; a broker or database that is away is waited for."""
        pause_s = self._interval_s
        while not self._stopping.is_set():
            try:
                step = self.run_once()
            except Exception as error:  # the broker's, or whatever the database's driver raises
                _log.warning(events.OUTBOX_RELAY_FAILED, error=str(error))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
                self._stopping.wait(pause_s)
                continue
            pause_s = self._interval_s
            self._woken.wait(0.0 if step.is_full else pause_s)
            self._woken.clear()

    def wake(self) -> None:
        """Have `run` look now: something was committed."""
        self._woken.set()

    def stop(self) -> None:
        """End `run` after its step."""
        self._stopping.set()
        self._woken.set()
