"""A trip that the loop makes itself: the end of a step, sent and read without waiting.

A step of a chain is a handful of small things in a row, and a thread between them costs as much as
all of them. So the loop sends such a commit over a connection that is there, and takes the answer
when the selector says that there is one. Nothing here waits: what cannot be sent at once, is
refused, lost or late goes to the exchange's thread, which does it again, as it does any job.
For the supervisor's loop only. Next in the walk: `windlass.brokers.redis_exchange`.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from windlass.brokers.base import FetchRequest, SentStep, Settlement
from windlass.runtime.exchange import Answer, Job


class Errand:
    """At most one step that is on its way.

    Args:
        selector: Of the loop.
        begin: Sends a step, `Broker.begin_step`.
        deliver: Takes the answer, in the loop.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        begin: Callable[[Sequence[Settlement], FetchRequest], SentStep | None],
        deliver: Callable[[Answer], None],
    ) -> None:
        self._selector = selector
        self._begin = begin
        self._deliver = deliver
        self._sent: SentStep | None = None
        self._job: Job
        self._instead: Callable[[Job], None]
        self._fd = -1
        self._until = 0.0

    def take(self, job: Job, instead: Callable[[Job], None]) -> bool:
        """Send a job if it is a lone step and nothing is in the way. Returns whether it is sent.

        Args:
            job: To be done.
            instead: Takes it if nothing comes of it.
        """
        request = job.request
        if request is None or not request.step_only or job.started or job.unfenced:
            return False
        if job.reap or job.unpark or (sent := self._begin(job.settlements, request)) is None:
            return False
        self._sent, self._job, self._instead = sent, job, instead
        self._until = monotonic() + sent.timeout_s
        self._fd = sent.fileno()
        self._selector.register(self._fd, selectors.EVENT_READ, self._on_readable)
        return True

    def check(self, now: float) -> None:
        """Give up an answer that takes as long as the connection allows any."""
        if self._sent is not None and now >= self._until:
            self._sent.give_up()
            self._end()

    def _on_readable(self, _mask: int) -> None:
        if self._sent is not None and self._sent.arrived():
            self._end()

    def _end(self) -> None:
        sent, job = self._sent, self._job
        self._sent = None
        self._selector.unregister(self._fd)
        fetched = None if sent is None else sent.fetched()
        if fetched is None:
            if sent is not None and sent.is_declined and job.request is not None:
                job.request = msgspec.structs.replace(job.request, step_only=False)
            self._instead(job)
        else:
            self._deliver(Answer(job=job, fetched=fetched, at=monotonic()))
