"""What happened, in a file outside Redis: lines that are appended and never changed.

Every process of a chaos run appends to the same file, each line with one write (O_APPEND, which the
kernel does whole). Times are CLOCK_MONOTONIC in seconds: one clock for all processes of a machine,
and none that a jump of the wall clock reaches.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import msgspec


class Line(msgspec.Struct, array_like=True, tag_field="kind", frozen=True, kw_only=True):
    """Something that happened at a time."""

    at: float


class Sending(Line, tag="sending"):
    """A call is about to be sent; what the auditor may expect of it is in here.

    Attributes:
        n: The call's number.
        what: Its kind, see `chaos_workload`.
        id: The message's id, "" where a canvas gives the ids.
        delay_s: Countdown.
        size: Parts of a chord, links of a chain, tries of a retry.
        burst: For kind "order": which burst. All of a burst become ready at once.
        priority: 0 to 9.
        key: What a limit counts by.
        queue: Where it goes.
    """

    n: int
    what: str
    id: str = ""
    delay_s: float = 0.0
    size: int = 0
    burst: int = 0
    priority: int = 0
    key: str = ""
    queue: str = "main"


class Sent(Line, tag="sent"):
    """The call of `n` returned; `ids` are those whose outcomes the sender may ask for."""

    n: int
    ids: list[str]


class Unsent(Line, tag="unsent"):
    """The call of `n` raised: it may have been stored all the same, or not."""

    n: int
    error: str


class Revoked(Line, tag="revoked"):
    """A revoke of the call `n` returned."""

    n: int


class Start(Line, tag="start"):
    """A run began.

    Attributes:
        run: Names this run and no other.
        id: The message's id.
        n: Of which call.
        role: What the run is in its call: "work", "follow", "part3", "body", ...
        worker: Its worker, with incarnation: "w1.3".
        parents: Runs whose values it was given.
        wall_s: Wall clock less monotonic clock, as the task sees it.
        token: Of its lease.
    """

    run: str
    id: str
    n: int
    role: str
    worker: str
    deliveries: int
    retries: int
    handbacks: int
    wall_s: float
    parents: list[str] = []
    token: int = 0


class End(Line, tag="end"):
    """A run ended by itself; `how`: "ok", "retry" or "error"."""

    run: str
    how: str


class Seen(Line, tag="seen"):
    """An outcome that is final was read; `value` is the run that made it, where it tells."""

    id: str
    state: str
    value: str = ""


class Fault(Line, tag="fault"):
    """Something was done to the system, from `at` to `until`, and was seen to be.

    Attributes:
        what: Its kind, see `chaos_faults`.
        target: A worker ("w1.3") or "*" for everything.
        evidence: How it is known that it happened.
        until: When it was over.
    """

    what: str
    target: str
    until: float
    evidence: str


class Dead(Line, tag="dead"):
    """A dead letter that was there at the end."""

    id: str
    queue: str
    reason: str
    deliveries: int
    detail: str = ""
    #: How its attempts ended, the oldest first.
    attempts: list[str] = []


class Left(Line, tag="left"):
    """What the broker held at the end, at rest: key -> size, of those that are not empty."""

    sizes: dict[str, int]


class Counted(Line, tag="counted"):
    """A counter of a queue at the end."""

    queue: str
    name: str
    value: int


class Note(Line, tag="note"):
    """Something the report shows: a name and a number."""

    name: str
    value: float


Any = Sending | Sent | Unsent | Revoked | Start | End | Seen | Fault | Dead | Left | Counted | Note
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Any)
_encoder = msgspec.json.Encoder()


class Logbook:
    """The writing end. Safe in threads and after a fork."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, *lines: Line) -> None:
        """Append lines, each whole."""
        text = b"".join(_encoder.encode(line) + b"\n" for line in lines)
        assert os.write(self._fd, text) == len(text)

    def close(self) -> None:
        os.close(self._fd)


def read(path: Path) -> Iterator[Any]:
    """Read what was written, in the order of the file."""
    with path.open("rb") as file:
        for line in file:
            yield _decoder.decode(line)


def now() -> float:
    """The time of a line."""
    return monotonic()
