"""Attempts: what is remembered of runs that did not end well. Pure: data, no I/O.

A message that succeeds at once leaves no trace here. A crash, a lost lease, a retry, a failure or a
burial is one line of JSON behind the message's counters on the broker: the last 20 of them, 32 KB
at most, gone with the message. A dead letter keeps its own.
Next in the walk: `windlass.runtime.settle` (writes them), `windlass.control_plane.history` (reads).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

#: So many attempts of a message are remembered, and so many bytes of them: the last ones. Also in
#: lua/lib/attempts.lua.
MAX_ATTEMPTS = 20
MAX_BYTES = 32 * 1024
#: Flags of a message: a process died under it and others, which is not counted yet; one died under
#: it alone; it was replayed, and the retries that its headers name are not of this generation.
SHARED, ALONE, REPLAYED = 1, 2, 4
#: Longest text of an exception that is kept, and the longest end of its traceback, in characters.
_MESSAGE_LIMIT = 1_000
_TRACEBACK_LIMIT = 4_000
_HIDDEN = "(not kept: message_encryption is on; the result has it)"


class Ending(StrEnum):
    """How an attempt ended. Public: `windlass dlq show` and `why` print it."""

    #: The process that ran it died: counted as a delivery.
    CRASHED = "crashed"
    #: The process that ran it and others died: uncounted, and it runs alone from now on.
    SUSPECTED = "suspected"
    #: Its worker stopped renewing the lease: counted as a delivery.
    LOST = "lost"
    #: It raised, and was scheduled again.
    RETRIED = "retried"
    #: It raised for good.
    FAILED = "failed"
    #: Its time had passed before it could run.
    EXPIRED = "expired"
    #: It was made a dead letter for another reason; `message` says why.
    BURIED = "buried"
    #: Not a run: the dead letter was made ready again, as the generation that comes next.
    REPLAYED = "replayed"


class Raised(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a task raised, as a slot tells its supervisor.

    Attributes:
        error: Class of the exception, with its module.
        message: Its text.
        traceback: The end of it.
        retries: Retries of the message before this run.
    """

    error: str
    message: str
    traceback: str
    retries: int = 0


def node_of(worker_id: str) -> str:
    """Return the node name in a worker's id, the id itself where it has none."""
    parts = worker_id.rsplit("-", 2)
    return parts[0] if len(parts) == 3 else worker_id


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One remembered attempt. Times are the broker's, milliseconds since the epoch; 0: not known.

    Attributes:
        end: One of `Ending`.
        ended_ms: When; written by the broker.
        started_ms: When the run began.
        worker: Id of the worker that ran it.
        generation: How often the message had been replayed.
        delivery: Which delivery of this try it was, from 1.
        retry: Retries before it.
        exit_code: Of the process that died, None where it is not that.
        signal: That killed the process, e.g. "SIGKILL".
        error: Class of the exception, with its module.
        message: Text of the exception, or why it ended.
        traceback: The end of it.
        digest: Of a replay that changed the message: SHA-256 of the bytes before the change.
    """

    end: str
    ended_ms: int = 0
    started_ms: int = 0
    worker: str = ""
    generation: int = 0
    delivery: int = 0
    retry: int = 0
    exit_code: int | None = None
    signal: str = ""
    error: str = ""
    message: str = ""
    traceback: str = ""
    digest: str = ""

    @property
    def node(self) -> str:
        """Node name of the worker, "" where it is not known."""
        return node_of(self.worker)

    def encode(self) -> bytes:
        """Return one line of JSON, an object that is not empty."""
        return _encode(self)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Attempt).decode


class Counters(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the broker keeps of a message that is not a plain first delivery.

    Attributes:
        deliveries: Runs of this try that ended in a crash, and leases that ran out.
        handbacks: Times it was handed back, where that was counted.
        generation: How often it was replayed.
        is_suspect: A process died under it, or its lease ran out more than once: it runs alone.
        attempts: Oldest first.
    """

    deliveries: int = 0
    handbacks: int = 0
    generation: int = 0
    is_suspect: bool = False
    attempts: tuple[Attempt, ...] = ()


def read_counters(value: bytes | None) -> Counters:
    """Read a field of the hash `attempts`: "deliveries:handbacks[:generation:flags]", then lines.

    A line that is not an attempt (of a newer version, say) is passed over.
    """
    if not value:
        return Counters()
    head, *lines = value.split(b"\n")
    numbers = [int(number) for number in head.split(b":") if number.isdigit()] + [0, 0, 0, 0]
    return Counters(
        deliveries=numbers[0],
        handbacks=numbers[1],
        generation=numbers[2],
        is_suspect=numbers[0] > 1 or numbers[3] & (SHARED | ALONE) > 0,
        attempts=tuple(attempt for line in lines if (attempt := _read(line)) is not None),
    )


def _read(line: bytes) -> Attempt | None:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def raised(error: BaseException, traceback: str, retries: int, *, hides: bool = False) -> Raised:
    """Describe an exception, bounded; whatever its class does, this succeeds.

    Args:
        error: What was raised.
        traceback: Of it.
        retries: Retries of the message before this run.
        hides: Keep the class alone: what tasks say is encrypted on the broker, and this is not.
    """
    kind = type(error)
    if hides:
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        return Raised(error=name, message=_HIDDEN, traceback="", retries=retries)
    try:
        text = str(error)
    except Exception as second:  # a user's __str__ may raise anything
        text = f"its text raised {type(second).__qualname__}"
    return Raised(
        error=f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins."),
        message=_writable(text[:_MESSAGE_LIMIT]),
        traceback=_writable(traceback[-_TRACEBACK_LIMIT:]),
        retries=retries,
    )


def parked_too_long(task: str, who: str) -> tuple[str, bytes]:
    """Say that nobody knew a task for too long: in words, and as an encoded attempt.

    Args:
        task: Its name.
        who: Has made the dead letter.
    """
    detail = f"no worker knew task {task!r} for as long as the queue lets it wait (park_limit_s)"
    return detail, Attempt(end=Ending.BURIED, worker=who, message=clipped(detail)).encode()


def clipped(text: str) -> str:
    """Return a text as `Attempt.message` keeps it."""
    return _writable(text[:_MESSAGE_LIMIT])


def _writable(text: str) -> str:
    """Return the text with what UTF-8 cannot carry written out."""
    return text.encode(errors="backslashreplace").decode()
