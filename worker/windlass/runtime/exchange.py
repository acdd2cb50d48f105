"""The two threads that speak to the broker for the supervisor's loop, which never waits for it.

Exchange   takes one job at a time: settle these, fetch that, in one round trip.
Waker      when there is nothing to do, blocks until the broker has something, and fetches it.

Each tries once and posts the answer or the error; when to try again is the loop's decision.
Next in the walk: `windlass.brokers.redis`.
"""

from __future__ import annotations

import contextlib
import os
import queue
import random
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from windlass.brokers.base import Fetched, FetchRequest, Settlement, StoredResult
from windlass.errors import OperationalError
from windlass.runtime.settle import Unfenced

if TYPE_CHECKING:
    from windlass.runtime.errand import Errand


class Started(msgspec.Struct, kw_only=True, gc=False):
    """A message has begun and wants that stored (track_started)."""

    id: str
    queue: str
    token: int
    payload: StoredResult


class Job(msgspec.Struct, kw_only=True):
    """One trip to the broker. Doing it twice does no harm: everything in it is fenced."""

    settlements: list[Settlement]
    request: FetchRequest | None = None
    started: list[Started] = []
    unfenced: list[Unfenced] = []
    #: Queues with expired leases.
    reap: tuple[str, ...] = ()
    #: Queues with parked messages that this worker may know.
    unpark: tuple[str, ...] = ()


class Answer(msgspec.Struct, kw_only=True):
    """What came of a job. With `error` nothing is known: the job is to be done again."""

    job: Job
    error: Exception | None = None
    stale: list[str] = []
    fetched: Fetched | None = None
    reaped: int = 0
    unparked: int = 0
    #: Monotonic time when the answer came, seconds.
    at: float = 0.0


class Woken(msgspec.Struct, kw_only=True):
    """What came of waiting: messages, nothing in time (None), or an error."""

    error: Exception | None = None
    fetched: Fetched | None = None
    at: float = 0.0


class Mailbox:
    """Where threads leave things for the loop: a deque, and a byte in a pipe to wake it."""

    def __init__(self) -> None:
        self._items: deque[Any] = deque()  # each thread posts its own type
        self._closing = threading.Lock()
        self._is_closed = False
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Readable when something was posted."""
        return self._read_fd

    @property
    def wake_fd(self) -> int:
        """The write end, for signal.set_wakeup_fd."""
        return self._write_fd

    def post(self, item: Any) -> None:
        """Leave something; from any thread."""
        self._items.append(item)
        # Once closed, the number may be that of another file of a program that goes on.
        with self._closing, contextlib.suppress(OSError):  # full: it is awake
            if not self._is_closed:
                os.write(self._write_fd, b"\0")

    def take(self) -> tuple[list[Any], bytes]:
        """Return what was posted, and the bytes that woke the loop (signal numbers or zeros)."""
        try:
            woken_by = os.read(self._read_fd, 4096)
        except BlockingIOError:
            woken_by = b""
        items = []
        while self._items:
            items.append(self._items.popleft())
        return items, woken_by

    def close(self) -> None:
        """Close the pipe."""
        with self._closing:
            self._is_closed = True
            os.close(self._read_fd)
            os.close(self._write_fd)


class Exchange:
    """The thread that settles and fetches.

    Args:
        broker: Used by this thread alone for the time of a job.
        store_unfenced: Stores an outcome without a lease (acks_late=False).
        task_names: What this worker can run, to unpark it.
        post: Takes each Answer.

    Attributes:
        errand: Makes the trips that need no thread, if there is one.
    """

    def __init__(
        self,
        broker: Any,  # RedisBroker: the Broker protocol and set_state
        worker_id: str,
        task_names: tuple[str, ...],
        store_unfenced: Callable[[Unfenced], None],
        post: Callable[[Answer], None],
    ) -> None:
        self._broker = broker
        self._worker_id = worker_id
        self._task_names = task_names
        self._store_unfenced = store_unfenced
        self._post = post
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.is_busy = False
        self.errand: Errand | None = None
        #: Done before the first job, and again if it fails.
        self.prelude: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._run, name="exchange", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Give the next job; only while `is_busy` is False. The loop resets it on the answer."""
        self.is_busy = True
        if self.errand is None or not self.errand.take(job, self._jobs.put):
            self._jobs.put(job)

    def stop(self) -> None:
        """Let the thread end after the job it has; does not wait for it."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                answer = self.run_once(job)
            except Exception as error:  # the loop decides; this thread never dies
                answer = Answer(job=job, error=error)
                if isinstance(error, OperationalError):
                    # Idle connections are as dead as this one, and would each fail once more.
                    with contextlib.suppress(Exception):
                        self._broker.close()
            answer.at = monotonic()
            self._post(answer)

    def run_once(self, job: Job) -> Answer:
        """Do one job."""
        if self.prelude is not None:
            self.prelude()
            self.prelude = None
        for unfenced in job.unfenced:
            self._end_unfenced(unfenced)
        for note in job.started:
            self._broker.set_state(note.id, note.queue, note.token, note.payload)
        answer = Answer(job=job)
        for name in job.reap:
            answer.reaped += self._broker.reap(name, self._worker_id)
        for name in job.unpark:
            answer.unparked += self._broker.unpark(name, self._task_names)
        if job.settlements or job.request is not None:
            answer.stale, answer.fetched = self._broker.exchange(job.settlements, job.request)
        return answer

    def _end_unfenced(self, unfenced: Unfenced) -> None:
        step = unfenced.step
        if step is not None and step.declares:
            self._broker.enqueue(unfenced.followups, continuations=step.declares)
        elif unfenced.followups:
            self._broker.enqueue(unfenced.followups)
        self._store_unfenced(unfenced)
        if step is not None and step.part is not None:
            self._broker.deliver((step.part,))


class Waker:
    """The thread that blocks on the broker while the worker has nothing to fetch."""

    def __init__(self, broker: Any, post: Callable[[Woken], None]) -> None:
        self._broker = broker
        self._post = post
        self._orders: queue.SimpleQueue[tuple[FetchRequest, float] | None] = queue.SimpleQueue()
        self.is_armed = False
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def arm(self, request: FetchRequest, timeout_s: float) -> None:
        """Wait once, then fetch; only while `is_armed` is False. The loop resets it."""
        self.is_armed = True
        self._orders.put((request, timeout_s))

    def interrupt(self) -> None:
        """Cut a wait short; it ends with an error."""
        self._broker.interrupt()

    def stop(self) -> None:
        """Let the thread end; does not wait for it."""
        self._orders.put(None)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            try:
                woken = Woken(fetched=self._broker.wait(*order))
            except Exception as error:  # the loop decides; this thread never dies
                woken = Woken(error=error)
            woken.at = monotonic()
            self._post(woken)


class Backoff:
    """Delays between tries to reach the broker: doubling from 0.1 s to 10 s, half of it jitter."""

    FIRST_S = 0.1
    LONGEST_S = 10.0

    def __init__(self, uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._uniform = uniform
        self._next_s = self.FIRST_S
        self.tries = 0

    def next_s(self) -> float:
        """Return how long to wait before the next try, seconds."""
        delay_s = self._next_s
        self._next_s = min(self._next_s * 2, self.LONGEST_S)
        self.tries += 1
        return delay_s * self._uniform(0.5, 1.0)

    def reset(self) -> None:
        """Start over after a success."""
        self._next_s = self.FIRST_S
        self.tries = 0
