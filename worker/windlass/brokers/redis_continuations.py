"""The part of the Redis broker that keeps continuations: what is not one message's commit.

Next in the walk: `windlass.redis_store.continuing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from windlass.continuations import Continuation, Part, Waiting, plain_failure, too_large_text
from windlass.errors import BrokerError
from windlass.messages import Outgoing
from windlass.redis_store import continuing
from windlass.redis_store.commands import Commands, EnqueueCall
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script
from windlass.states import FAILURE

_unpack = msgspec.msgpack.Decoder().decode
#: Members looked up in one trip.
_PAGE = 1000


class _Plan(NamedTuple):
    cap: int
    formats: str
    chunks: int
    queues: list[str]


class Continuations:
    """Declares, delivers and looks after continuations of one keyspace."""

    def __init__(self, links: Links, keys: Keys, commands: Commands) -> None:
        self._links = links
        self._keys = keys
        self._commands = commands
        #: Released in part when the broker was lost: to be gone on with.
        self._unfinished: set[str] = set()

    # -- starting

    def phases(
        self, messages: Sequence[Outgoing], continuations: Sequence[Continuation]
    ) -> Iterator[list[EnqueueCall]]:
        """Yield the calls that start a workflow; each list is sent when the one before was done.

        A small one is started in one step. Of a large one, what is declared when the client dies
        ends by the sweep: no message of it was sent.
        """
        now = self._commands.now
        if continuing.is_small(messages, continuations):
            command = continuing.start(self._keys, now, messages, continuations)
            yield [EnqueueCall(command, range(len(messages)))]
            return
        for command in continuing.starts(self._keys, now, continuations):
            yield [EnqueueCall(command, ())]
        yield self._commands.enqueue(messages)

    # -- parts

    def deliver(self, parts: Sequence[Part]) -> None:
        """Give parts to their continuations."""
        by_id: defaultdict[str, list[Part]] = defaultdict(list)
        for part in parts:
            by_id[part.then.id].append(part)
        for id_, members in by_id.items():
            queues = dict.fromkeys(name for part in members for name in part.then.queues)
            call = continuing.deliver(self._keys, self._commands.now, id_, queues, members)
            if self._links.call([call])[0]:
                self.finish([id_])

    def finish(self, ids: Iterable[str]) -> None:
        """Send the rest of continuations that a commit has begun to release.

        What fails is tried again at the next call, and by whoever sweeps.
        """
        self._unfinished.update(ids)
        for id_ in list(self._unfinished):
            with suppress(BrokerError):
                self.release(id_)
                self._unfinished.discard(id_)

    @property
    def has_unfinished(self) -> bool:
        """Whether `finish` has something to try again."""
        return bool(self._unfinished)

    def release(self, id_: str, failure: bytes = b"") -> None:
        """Send what a continuation has to send; with a failure that ends its wait, in any case."""
        raw = self._links.call([packed("HGET", self._keys.then(id_), "plan")])[0]
        if raw is None:
            return
        plan = _Plan(*_unpack(raw))
        while True:
            call = continuing.deliver(
                self._keys, self._commands.now, id_, plan.queues, failure=failure
            )
            reply = self._links.call([call])[0]
            if reply == b"LARGE":
                failure = plain_failure(id_, FAILURE, "MessageTooLarge", too_large_text(plan.cap))
            elif reply != b"MORE":
                return
