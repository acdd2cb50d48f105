"""The part of the Redis broker that keeps continuations: what is not one message's commit.

Next in the walk: `windlass.redis_store.continuing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec

from windlass.brokers.redis_sweep import Sweeper
from windlass.continuations import Continuation, Part, Waiting, plain_failure, too_large
from windlass.errors import BrokerError
from windlass.messages import Outgoing
from windlass.redis_store import continuing
from windlass.redis_store.commands import Commands, EnqueueCall
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed

_unpack = msgspec.msgpack.Decoder().decode
_unpack_releases = msgspec.msgpack.Decoder(list[list[msgspec.Raw]]).decode
#: Members looked up in one trip.
_PAGE = 1000


class _Plan(NamedTuple):
    cap: int
    formats: str
    chunks: int
    queues: list[str]


#: The calls of a phase; told whether an earlier try may have done it.
Phase = Callable[[bool], list[EnqueueCall]]


def _declaration(command: bytes, is_again: bool) -> list[EnqueueCall]:
    """No message of the workflow is sent yet: to declare it again changes nothing."""
    return [EnqueueCall(command, ())]


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
    ) -> Iterator[Phase]:
        """Yield what starts a workflow; each phase is sent when the one before was done.

        A small one is started in one step. Of a large one, what is declared when the client dies
        ends by the sweep: no message of it was sent.
        """
        if continuing.is_small(messages, continuations):
            yield partial(self._start, messages, continuations)
            return
        for command in continuing.starts(self._keys, self._commands.now, continuations):
            yield partial(_declaration, command)
        yield partial(self._commands.enqueue, messages)

    def _start(
        self, messages: Sequence[Outgoing], continuations: Sequence[Continuation], is_again: bool
    ) -> list[EnqueueCall]:
        now = self._commands.now
        command = continuing.start(self._keys, now, messages, continuations, is_again=is_again)
        return [EnqueueCall(command, range(len(messages)))]

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
                failure = plain_failure(id_, too_large(plan.cap))
            elif reply != b"MORE":
                return

    # -- looking after

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """See `windlass.brokers.base.Broker.sweep`."""
        sweeper = Sweeper(self._links, self._keys, self._commands, self.release)
        return sweeper.sweep(older_than_ms, limit)

    def waiting(self, ids: Sequence[str]) -> list[Waiting | None]:
        """Return continuations as they are, None for one that is gone."""
        keys = self._keys
        reads = [packed("HGETALL", keys.then(id_)) for id_ in ids]
        return [
            _waiting(id_, dict(zip(found[::2], found[1::2], strict=True))) if found else None
            for id_, found in zip(ids, self._links.call(reads) if reads else [], strict=True)
        ]


def _waiting(id_: str, fields: Mapping[bytes, bytes]) -> Waiting | None:
    if b"need" not in fields:
        return None
    declared: list[str] = _unpack(fields[b"members"])[0]
    members = dict(enumerate(declared))
    members |= {
        int(f[1:]): v.decode() for f, v in fields.items() if f[:1] == b"m" and f[1:].isdigit()
    }
    chunks = _Plan(*_unpack(fields[b"plan"])).chunks
    return Waiting(
        id=id_,
        members=tuple(members[index] for index in sorted(members)),
        arrived=tuple(sorted(int(f[1:]) for f in fields if f[:1] == b"v" and f[1:].isdigit())),
        sends=tuple(
            _unpack(release[0])
            for number in range(chunks)
            for release in _unpack_releases(fields.get(b"r%d" % number, b"\x90"))
        ),
    )
