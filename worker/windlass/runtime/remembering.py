"""What a worker has remembered of attempts that did not end well: lines for `windlass.attempts`.

For the supervisor's loop; a plain success never comes here. What the broker is told of the end
itself is `windlass.runtime.settle`'s.
"""

from __future__ import annotations

import re

from windlass.attempts import Attempt, Ending, Raised, clipped
from windlass.errors import DecodeError
from windlass.messages import decode_message
from windlass.runtime.hand import Entry

#: How `windlass.runtime.zygote` says that a process ended.
_SIGNAL = re.compile(r"signal (\d+) \((SIG\w+)\)")
_EXIT = re.compile(r"exit code (\d+)")


def raised(
    worker: str, entry: Entry, end: Ending, found: Raised | None, *, started_ms: int
) -> bytes:
    """Remember a run that raised; what it raised is not known where its process was killed."""
    found = found or Raised("", "", "", retries_of(entry))
    return Attempt(
        end=end,
        started_ms=started_ms,
        worker=worker,
        generation=entry.generation,
        delivery=entry.deliveries + 1,
        retry=found.retries,
        error=found.error,
        message=found.message,
        traceback=found.traceback,
    ).encode()


def crashed(worker: str, entry: Entry, reason: str, *, is_shared: bool, started_ms: int) -> bytes:
    """Remember a run whose process died: by which signal, or with which exit code."""
    signal, code = _SIGNAL.search(reason), _EXIT.search(reason)
    return Attempt(
        end=Ending.SUSPECTED if is_shared else Ending.CRASHED,
        started_ms=started_ms,
        worker=worker,
        generation=entry.generation,
        delivery=entry.deliveries + 1,
        retry=retries_of(entry),
        signal=signal[2] if signal else "",
        exit_code=int(code[1]) if code else None,
        message=clipped(reason),
    ).encode()


def unrun(worker: str, entry: Entry, end: Ending, why: str) -> bytes:
    """Remember a message that could not be run."""
    return Attempt(
        end=end,
        worker=worker,
        generation=entry.generation,
        delivery=entry.deliveries + 1,
        retry=retries_of(entry),
        message=clipped(why),
    ).encode()


def retries_of(entry: Entry) -> int:
    """Return the retries of a message before this run; 0 if it cannot be read."""
    try:
        return decode_message(entry.id, entry.raw).headers.retries
    except DecodeError:
        return 0
