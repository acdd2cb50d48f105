"""Looks after continuations whose parts may never come: the Redis broker's half of `Broker.sweep`.

A part is still to come while its message is there and no dead letter, while the continuation that
will send the message is there, or while whoever answers for it instead is. All of that is looked up
here in few trips, and once more by the script that counts the part as lost.
Next in the walk: `lua/lose_part.lua`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from windlass.continuations import DEAD, VANISHED, End, plain_failure
from windlass.redis_store.commands import Commands
from windlass.redis_store.connection import Links
from windlass.redis_store.continuing import Targets
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script

_unpack = msgspec.msgpack.Decoder().decode
#: Members looked up in one trip.
_PAGE = 1000


class Missing(NamedTuple):
    """A part that has not come.

    Attributes:
        part: Its index.
        member: Id of the message that it comes from.
        source: The continuation that will send that message, "" for none.
        holder: Who else answers for it, "" for nobody.
    """

    part: int
    member: str
    source: str
    holder: str


class Found(NamedTuple):
    """A part that will not come, as it looks: how its message ended, and where it was seen dead."""

    missing: Missing
    end: End
    queue: str


class Sweeper:
    """Sweeps continuations of one keyspace.

    Args:
        finish: Sends the rest of a continuation that is released in part.
    """

    def __init__(
        self, links: Links, keys: Keys, commands: Commands, finish: Callable[[str], None]
    ) -> None:
        self._links = links
        self._keys = keys
        self._commands = commands
        self._finish = finish

    def sweep(self, older_than_ms: int, limit: int) -> int:
        """See `windlass.brokers.base.Broker.sweep`."""
        args = (self._commands.now, older_than_ms, limit)
        call = script("claim_thens").command((self._keys.thens,), args)
        return sum(self._look_after(id_.decode()) for id_ in self._links.call([call])[0])

    def _look_after(self, id_: str) -> bool:
        record = self._keys.then(id_)
        facts, names = self._links.call(
            [
                packed("HMGET", record, "need", "have", "fail", "plan", "members"),
                packed("HKEYS", record),
            ]
        )
        need, have, failure, plan, members = facts
        if need is None:
            self._links.call([packed("ZREM", self._keys.thens, id_)])
            return False
        if failure is not None or int(have or 0) >= int(need):
            self._finish(id_)
            return True
        queues = _unpack(plan)[3]
        for page in self._missing(id_, members, names):
            for found in self._lost(page):
                if self._lose(id_, queues, found):
                    return True
        return False

    def _missing(self, id_: str, members: bytes, names: Sequence[bytes]) -> Iterator[list[Missing]]:
        """Yield the parts that are not there, in pages."""
        ids, sources = _unpack(members)
        arrived = {int(name[1:]) for name in names if name[:1] == b"v" and name[1:].isdigit()}
        added = [int(name[1:]) for name in names if name[:1] == b"m" and name[1:].isdigit()]
        wanted = [index for index in (*range(len(ids)), *added) if index not in arrived]
        holders = {name for name in names if name[:1] == b"h"}
        record = self._keys.then(id_)
        for at in range(0, len(wanted), _PAGE):
            page = wanted[at : at + _PAGE]
            yield [
                Missing(
                    index,
                    ids[index] if index < len(ids) else self._field(record, f"m{index}"),
                    sources[index] if index < len(sources) else "",
                    self._field(record, f"h{index}") if b"h%d" % index in holders else "",
                )
                for index in page
            ]

    def _field(self, record: bytes, name: str) -> str:
        value: bytes | None = self._links.call([packed("HGET", record, name)])[0]
        return (value or b"").decode()

    def _lost(self, page: Sequence[Missing]) -> Iterator[Found]:
        """Yield those of a page that look lost."""
        keys = self._keys
        reads = [packed("HEXISTS", keys.messages, missing.member) for missing in page]
        there = self._links.call([*reads, packed("SMEMBERS", keys.queues)])
        queues = [name.decode() for name in there.pop()]
        gone = [missing for missing, is_there in zip(page, there, strict=True) if not is_there]
        sources = list({missing.source for missing in gone if missing.source})
        known = self._links.call([packed("EXISTS", keys.then(source)) for source in sources])
        to_come = {source for source, exists in zip(sources, known, strict=True) if exists}
        for missing in gone:
            if missing.source not in to_come:
                yield Found(missing, VANISHED, "default")
        alive = [missing for missing, is_there in zip(page, there, strict=True) if is_there]
        if not alive:
            return
        members = [missing.member for missing in alive]
        for queue in queues:
            call = packed("ZMSCORE", keys.queue(queue).dead, *members)
            for missing, died in zip(alive, self._links.call([call])[0], strict=True):
                if died is not None:
                    yield Found(missing, DEAD, queue)

    def _lose(self, id_: str, queues: Sequence[str], found: Found) -> bool:
        keys, (missing, end, queue) = self._keys, found
        record, targets = keys.then(id_), Targets(self._keys, queues)
        other = missing.holder[1:] if missing.holder[:1] == "c" else ""
        touched = (
            keys.messages, keys.queues, keys.thens, record,
            keys.then(missing.source) if missing.source else record,
            keys.then(other) if other else record,
            keys.workers_seen, keys.queue(queue).dead, *targets.keys,
        )  # fmt: skip
        args = (
            self._commands.now, id_, missing.part, missing.member, missing.holder,
            plain_failure(missing.member, end), targets.names,
        )  # fmt: skip
        reply = self._links.call([script("lose_part").command(touched, args)])[0]
        if reply == 2:
            self._finish(id_)
        return bool(reply)
