"""What is known of one message, as facts: what `windlass.control_plane.explain` reasons about.

Next in the walk: `windlass.control_plane.why_reading`, which gathers them.
"""

from __future__ import annotations

import msgspec

from windlass.attempts import Counters
from windlass.continuations import Waiting
from windlass.control_plane.heartbeats import WorkerStatus
from windlass.control_plane.limits import BlockedBy
from windlass.control_plane.queue_record import QueueRecord
from windlass.states import Stage

#: Places of its ready list that are looked through for a message: what waits behind more than that
#: is only said to do so.
MOST_AHEAD = 10_000


class Outcome(msgspec.Struct, kw_only=True, frozen=True):
    """What is stored of how the task went; final or not.

    Attributes:
        state: In Celery's words.
        ended_ms: When it was stored, 0 where that is not known.
        error: Class and text of the exception, '' without one.
        worker: Node name of the worker (with result_extended).
    """

    state: str
    ended_ms: int = 0
    error: str = ""
    worker: str = ""


class Holder(msgspec.Struct, kw_only=True, frozen=True):
    """The worker that has the message, by its own account.

    Attributes:
        is_running: It has begun; else it waits for a slot of that worker.
        since_ms: When it began, 0 if it has not or that is not known.
        pid: Of the process that runs it, 0 for none of its own.
    """

    node: str
    is_running: bool
    since_ms: int = 0
    pid: int = 0


class Obituary(msgspec.Struct, kw_only=True, frozen=True):
    """Why it is a dead letter."""

    reason: str
    detail: str = ""
    at_ms: int = 0
    worker: str = ""


class Queue(msgspec.Struct, kw_only=True, frozen=True):
    """The queue that it is in.

    Attributes:
        workers: Those that serve it, as of their last heartbeats: some seconds old.
        leased: Messages of it that workers have, as of now.
    """

    name: str
    record: QueueRecord = QueueRecord()
    workers: tuple[WorkerStatus, ...] = ()
    leased: int = 0


class Facts(msgspec.Struct, kw_only=True, frozen=True):
    """Everything that is known of one id. Times are the broker's, ms since the epoch; 0: none.

    Attributes:
        now_ms: The broker's clock.
        stage: Where the message is.
        is_readable: Its bytes can be read; if not, all that they would tell is left out.
        retries: Tries that ended in an exception and a retry.
        is_revoked: There is a mark that it must not be run.
        ahead: Messages of its queue that are to be handed out before it; None where it is in no
            line, `MOST_AHEAD` or more where it was not found.
        lease_ms: Until when the worker that has it owns it.
        lease_worker: Id of that worker.
        parked_ms: When it was parked.
        blocked: Limits without room for it, of its task, its key and its queue.
        waits_for: The continuation that will send it.
        holder: None where no worker said that it has it, or none was asked.
    """

    id: str
    now_ms: int
    stage: Stage
    is_readable: bool = True
    task: str = ""
    priority: int = 0
    enqueued_ms: int = 0
    due_ms: int = 0
    expires_ms: int = 0
    retries: int = 0
    queue: Queue | None = None
    is_revoked: bool = False
    ahead: int | None = None
    lease_ms: int = 0
    lease_worker: str = ""
    parked_ms: int = 0
    blocked: tuple[BlockedBy, ...] = ()
    obituary: Obituary | None = None
    waits_for: Waiting | None = None
    outcome: Outcome | None = None
    holder: Holder | None = None
    counters: Counters = Counters()
