"""How a run ended, as data: what a slot process tells its supervisor. Pure.

The executor builds one of these; `windlass.runtime.settle` turns it into a broker settlement.
Encoded with msgpack on the pipe between slot and supervisor.
"""

from __future__ import annotations

import msgspec

from windlass.attempts import Raised
from windlass.continuations import Continuation, Part
from windlass.messages import Outgoing, Then


class Unusual(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What is to be remembered of an end that was not a success.

    Attributes:
        raised: By the task, None where it did not run.
        dead_as: The Reason under which its message may become a dead letter, "" for never.
        keeps: It does; else the queue's record says whether.
    """

    raised: Raised | None = None
    dead_as: str = ""
    keeps: bool = False


class Finished(Unusual, tag="d", omit_defaults=True, gc=False):
    """Ends the message. `state` is SUCCESS, FAILURE, REVOKED or IGNORED, for metrics and logs.

    `result` is the encoded outcome, None when nothing is to be stored.
    """

    state: str
    result: bytes | None = None
    followups: tuple[Outgoing, ...] = ()


class Stepped(Finished, tag="s", omit_defaults=True, gc=False):
    """Ends a step of a workflow; the fields are those of `windlass.brokers.base.StepDone`."""

    part: Part | None = None
    declares: tuple[Continuation, ...] = ()
    grows: tuple[tuple[int, str], ...] = ()
    holds: Then | None = None
    holder: str = ""


class Retried(msgspec.Struct, tag="r", omit_defaults=True, gc=False):
    """Runs again as `message`; `result` is the encoded RETRY outcome, None if not stored."""

    message: Outgoing
    result: bytes | None = None
    raised: Raised | None = None


class Keyed(msgspec.Struct, tag="k", gc=False):
    """Sent again as `message`, with the key of its limits: its sender did not know of them."""

    message: Outgoing


class Returned(msgspec.Struct, tag="b", omit_defaults=True, gc=False):
    """Handed back, e.g. Reject(requeue=True)."""

    counted: bool = True


class Buried(msgspec.Struct, tag="x", omit_defaults=True, gc=False):
    """To the dead letters: the message is bad, or the task rejected it."""

    reason: str
    detail: str
    result: bytes | None = None
    #: An encoded `windlass.continuations.Failure`, where the reason and detail do not say it.
    failure: bytes = b""


class Unknown(msgspec.Struct, tag="u", omit_defaults=True, gc=False):
    """No such task in this app: to be parked."""

    task: str


Outcome = Finished | Stepped | Retried | Keyed | Returned | Buried | Unknown
