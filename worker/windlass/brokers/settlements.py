"""What a worker tells a broker of messages that it had: how each one ended, or where it goes now.

Each is fenced by its token: a stale one changes nothing.
Next in the walk: `windlass.brokers.base`, which takes them.
"""

from __future__ import annotations

import msgspec

from windlass.continuations import Continuation, Part
from windlass.messages import Outgoing, Then
from windlass.states import SUCCESS


class StoredResult(msgspec.Struct, kw_only=True, gc=False):
    """An encoded outcome and how long it is kept. ttl_ms 0 keeps it for ever."""

    payload: bytes
    ttl_ms: int


class Done(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """The message ends: success, failure, revoked or ignored.

    `result` None stores nothing. `followups` are enqueued in the same commit. `state` is noted for
    the run of a schedule; '' notes nothing.
    """

    id: str
    queue: str
    token: int
    result: StoredResult | None = None
    followups: tuple[Outgoing, ...] = ()
    duration_ms: float = 0.0
    state: str = SUCCESS


class StepDone(Done, kw_only=True, gc=False, tag=True):
    """A message ends that is a step of a workflow. One commit, as `Done`.

    Attributes:
        part: Given to the continuation that waits for it; one that is gone ignores it.
        declares: Stored before anything is enqueued: the task was replaced by a workflow.
        grows: Members that are added to the continuation of `part`: (index, message id). Their
            values come behind those declared, in the order of their index.
        holds: Instead of `part`: it is still to come, from `holder`.
        holder: "w" and a worker's id: the message is acknowledged before it runs there; "c" and
            a continuation's: what it declares ends in a message that takes its place.
    """

    part: Part | None = None
    declares: tuple[Continuation, ...] = ()
    grows: tuple[tuple[int, str], ...] = ()
    holds: Then | None = None
    holder: str = ""


class DeadEnd(StepDone, kw_only=True, gc=False, tag=True):
    """It ends as `StepDone` says, and its message becomes a dead letter, untouched.

    Its follow-ups are sent and its part is given now, once: running it again changes neither.
    """

    reason: str  # one of windlass.control_plane.dead_letters.Reason
    detail: str
    worker: str
    attempt: bytes = b""  # an encoded windlass.attempts.Attempt, remembered with the message


class Again(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """A retry: the message is replaced by `message` (same id) and scheduled; `result` is RETRY.

    A deferred one is no retry: it keeps its counters.
    """

    id: str
    queue: str
    token: int
    message: Outgoing
    result: StoredResult | None = None
    duration_ms: float = 0.0
    attempt: bytes = b""
    is_deferred: bool = False


class HandBack(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """Back to the front of its queue. `counted` adds to handbacks, else nobody was at fault."""

    id: str
    queue: str
    token: int
    counted: bool = False


class Crashed(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """The run died: deliveries + 1, back to the front; at the cap, dead letter with `result`.

    With `is_shared` others ran in the same process: it becomes a suspect, and the crash counts when
    it crashes again, then alone. A cap of 1 counts it at once.
    """

    id: str
    queue: str
    token: int
    reason: str  # e.g. "signal 9 (SIGKILL)", "exit code 1"
    worker: str
    result: StoredResult | None = None  # FAILURE with WorkerLostError, used at the cap only
    part: Part | None = None  # as `result`
    attempt: bytes = b""
    is_shared: bool = False


class Bury(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """To the dead letters, untouched, with the reason; `result` is stored if given."""

    id: str
    queue: str
    token: int
    reason: str  # one of windlass.control_plane.dead_letters.Reason
    detail: str
    worker: str
    result: StoredResult | None = None
    part: Part | None = None
    attempt: bytes = b""


class Park(msgspec.Struct, kw_only=True, gc=False, tag=True):
    """The task is unknown here: set aside, uncounted, until a worker announces the name."""

    id: str
    queue: str
    token: int
    task: str


Settlement = Done | StepDone | Again | HandBack | Crashed | Bury | Park
