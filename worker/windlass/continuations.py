"""What comes after tasks, as data: steps of a workflow, kept by the broker until they are due.

A workflow is a graph that is stored whole before its first message is sent. Its edges are
continuations: each waits for `need` parts, a set and not a count, and then releases messages that
were built beforehand, once. A part is how one message ended; the header `then` of a message says
which part it is. So no message carries the graph, and nesting to any depth is data:

    chain a | b | c        continuation {a} -> b,  continuation {b} -> c
    chord (a, b) | c       continuation {a, b} -> c, which takes a list
    a | group(b, c) | d    continuation {a} -> b, c,  continuation {b, c} -> d

When a part is a failure the messages are released at once as failing: each tells its task that what
came before it has failed, and is itself a failed part of what comes after it.

Pure: no I/O, no app. Next in the walk: `windlass.released` (their bytes), then
`windlass.brokers.base` (declare, enqueue, commit).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from windlass.messages import Then, then_of

#: Name in the address of a failing message. No app has a task of it; every worker knows it.
FAIL_TASK = "windlass.fail"

#: How a released message takes the values: not at all (immutable), the one value before its own
#: arguments (chain), or all of them as a list in the order of their index (chord).
Takes = Literal["nothing", "value", "list"]
#: What a failing message ends as: the failure it was told of (chain), or a ChordError (chord body).
Fails = Literal["same", "chord"]


class Hole(NamedTuple):
    """The place of the values in a released message.

    Attributes:
        takes: How they are taken.
        need: How many there are; of the continuation.
        fails: What the message ends as when it is told of a failure instead.
    """

    takes: Takes = "value"
    need: int = 1
    fails: Fails = "same"


class Release(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A message that a continuation sends: all of it but the values.

    Countdown and relative expiry count from when it is released.

    Attributes:
        id: Id of the message.
        queue: Where it goes.
        address: Encoded by `windlass.messages.address`.
        headers: Encoded headers, a JSON object.
        before: The body up to where the values go; the whole of it where `takes` is "".
        between: Goes between two values.
        after: The rest of the body.
        takes: Marker of the serializer that the values are in, "" where it takes none.
        errbacks: Its `embed`, encoded by its serializer, if it has errbacks to be called.
        failing: Names kind and task in the headers of its failing twin: `"failing":[..]`.
        feeds: The continuation that it is itself a part of, "" for none.
    """

    id: str
    queue: str
    address: bytes
    headers: bytes
    before: bytes
    priority: int = 0
    delay_ms: int | None = None
    eta_ms: int | None = None
    ttl_ms: int | None = None
    expires_at_ms: int | None = None
    between: bytes = b""
    after: bytes = b""
    takes: str = ""
    errbacks: bytes = b""
    failing: bytes = b""
    feeds: str = ""


class Continuation(msgspec.Struct, kw_only=True, gc=False):
    """Releases messages once when all its parts are there, or failing ones at the first failure.

    Attributes:
        id: Unique in the keyspace. That of the message it releases, where that is one.
        releases: What it sends, in this order.
        members: Id of the message that each part comes from, by index. There are `need` of them.
        sources: For each member the continuation that will send it, "" for one that is sent with
            the workflow; may be left empty where that is so for all.
        max_bytes: A released message over this size fails instead, with MessageTooLarge.
    """

    id: str
    releases: tuple[Release, ...]
    members: tuple[str, ...]
    sources: tuple[str, ...] = ()
    max_bytes: int = 16 * 1024 * 1024

    @property
    def need(self) -> int:
        """How many parts it waits for, at least one."""
        return len(self.members)

    @property
    def formats(self) -> str:
        """Markers of the serializers in which values are wanted, each once."""
        return "".join(sorted({release.takes for release in self.releases}))

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues it sends to, each once."""
        return tuple(sorted({release.queue for release in self.releases}))

    def then(self, index: int) -> Then:
        """Return what the header `then` of its part `index` says."""
        return Then(self.id, index, self.formats, self.queues)


class Failure(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Why a part failed: what its followers are told.

    Attributes:
        id: The task that failed.
        state: FAILURE, or REVOKED: its followers in a chain end in the same state.
        error: Marker of a serializer, then what `windlass.results.exceptions.describe` returns,
            encoded by it.
        traceback: Of the failed task, the end of it.
    """

    id: str
    state: str
    error: bytes
    traceback: str | None = None

    def encode(self) -> bytes:
        """Return the bytes that travel."""
        return _encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Failure:
        """Read what `encode` returned.

        Raises:
            msgspec.DecodeError: It is something else.
        """
        return _decode(data)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Failure).decode


class Part(msgspec.Struct, kw_only=True, gc=False):
    """How one message ended, for the continuation that waits for it.

    Attributes:
        then: Which part of what.
        values: The value in each of `then.formats`; see `windlass.released.value_piece`.
        failure: An encoded `Failure`, b"" where it succeeded.
    """

    then: Then
    values: tuple[bytes, ...] = ()
    failure: bytes = b""


class End(NamedTuple):
    """How a message ends that no worker ends.

    Attributes:
        state: FAILURE or REVOKED.
        error_type: A class of `windlass.errors`.
        text: Its argument.
    """

    state: str
    error_type: str
    text: str


def plain_failure(message_id: str, end: End) -> bytes:
    """Build the failure of a message that no task's code has ended; encoded."""
    described = {
        "exc_type": end.error_type,
        "exc_module": "windlass.errors",
        "exc_message": [end.text],
    }
    return Failure(message_id, end.state, b"j" + msgspec.json.encode(described)).encode()


def too_large(max_bytes: int) -> End:
    """Say that a message cannot be released, with the values that it takes."""
    text = (
        f"The message with the results of the tasks before it is over {max_bytes:,} bytes "
        "(task_max_size_bytes). Return less from them, such as an id of where the data is, or "
        "raise task_max_size_bytes."
    )
    return End("FAILURE", "MessageTooLarge", text)


LOST = End("FAILURE", "WorkerLostError", "The worker that ran this task was lost.")
REVOKED = End("REVOKED", "TaskRevokedError", "revoked")
PURGED = End("REVOKED", "TaskRevokedError", "purged")
DEAD = End("FAILURE", "TaskError", "Its message is a dead letter.")
VANISHED = End(
    "FAILURE",
    "WorkerLostError",
    "Its message is nowhere in the broker, and no worker has said how it ended.",
)


def part_of(message_id: str, raw: bytes, end: End) -> Part | None:
    """Return the part that a message gives which no worker ends, None if it is no part."""
    then = then_of(raw)
    return None if then is None else Part(then=then, failure=plain_failure(message_id, end))


class Waiting(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A continuation as the broker has it, for people and pictures.

    Attributes:
        id: The continuation.
        members: As declared.
        arrived: Indexes of the parts that are there, in order.
        sends: Ids of the messages that it will release.
    """

    id: str
    members: tuple[str, ...]
    arrived: tuple[int, ...]
    sends: tuple[str, ...]
