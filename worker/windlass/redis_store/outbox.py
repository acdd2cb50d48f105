"""Copies outcomes from the broker to the store where results are kept, if that is another one.

A commit stores the outcome on the broker and notes it in the outbox, in one step. From there it is
put into the other store, which refuses an older generation than it has, and then removed from the
broker, unless it has changed meanwhile. So every step may be repeated, by anybody, at any time.
Imported only where results are kept elsewhere. Next in the walk: `windlass.results.outbox`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from windlass.errors import BrokerAccessError, BrokerError, OperationalError
from windlass.redis_store.connection import Links, server_error
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.scripts import script

#: Outcomes in one turn, and bytes of them that are held at once.
_LIMIT = 200
_MAX_BYTES = 8 * 1024 * 1024
#: Nobody else copies for so long after a turn began; then the copier counts as lost.
_HOLD_MS = 3_000
#: A forgotten outcome is remembered as such for longer than any copy of it can be under way.
_FORGOTTEN_MS = 3600 * 1000

#: Id, and the generation of its outcome.
_Noted = tuple[str, bytes]


class Copier:
    """Empties the outbox of one keyspace. For one thread.

    Args:
        links: The broker's connections.
        keys: The keyspace's key table.
        store: Connections to where results are kept.
    """

    def __init__(self, links: Links, keys: Keys, store: Links) -> None:
        self._links = links
        self._keys = keys
        self._store = store
        self._me = os.urandom(8).hex()

    def run_once(self) -> int | None:
        """Copy what is oldest, a bounded part.

        Returns:
            How many outcomes were looked at: 0 when there are none; None while another one copies.

        Raises:
            BrokerError: The store or the broker failed; what was not copied stays where it is.
        """
        take = script("outbox_take").command(
            (self._keys.outbox, self._keys.outbox_copier), (self._me, _HOLD_MS, _LIMIT)
        )
        taken = self._links.call([take])[0]
        if taken == b"BUSY":
            return None
        noted = [(id_.decode(), at) for id_, at in zip(taken[::2], taken[1::2], strict=True)]
        for part in self._parts(noted):
            self._copy(part)
        return len(noted)

    def _parts(self, noted: Sequence[_Noted]) -> Iterator[list[_Noted]]:
        if not noted:
            return
        lengths = self._links.call([packed("STRLEN", self._keys.result(id_)) for id_, _ in noted])
        part: list[_Noted] = []
        size = 0
        for one, length in zip(noted, lengths, strict=True):
            if part and size + length > _MAX_BYTES:
                yield part
                part, size = [], 0
            part.append(one)
            size += length
        yield part

    def _copy(self, part: Sequence[_Noted]) -> None:
        reads: list[bytes] = []
        for id_, _ in part:
            key = self._keys.result(id_)
            reads += (packed("GET", key), packed("PTTL", key))
        replies = self._links.call(reads)
        done, puts, put = [], [], []
        for one, payload, left_ms in zip(part, replies[::2], replies[1::2], strict=True):
            if payload is None or left_ms == -2:
                done.append(one)  # its time was over before the store came back
            else:
                put.append(one)
                puts.append(keep_call(self._keys, one[0], one[1], max(0, left_ms), payload))
        refusal = None
        for one, reply in zip(put, self._store_call(puts), strict=True):
            if isinstance(reply, Exception):
                refusal = reply
            else:
                done.append(one)
        self._remove(done)
        if refusal is not None:
            raise of_results(server_error(refusal))

    def _store_call(self, puts: Sequence[bytes]) -> list[object]:
        if not puts:
            return []
        try:
            return self._store.try_call(puts)
        except BrokerError as error:
            raise of_results(error) from error

    def _remove(self, done: Sequence[_Noted]) -> None:
        if not done:
            return
        keys = (self._keys.outbox, *(self._keys.result(id_) for id_, _ in done))
        args = [len(done), *(word for one in done for word in one)]
        self._links.call([script("outbox_done").command(keys, args)])


def keep_call(keys: Keys, task_id: str, generation: bytes, ttl_ms: int, payload: bytes) -> bytes:
    """Pack the put of one outcome into the other store."""
    args = (generation, ttl_ms, payload)
    return script("keep_result").command((keys.kept(task_id),), args)


def kept_outcome(value: bytes | None) -> bytes | None:
    """Return the outcome in what the other store has; None: nothing, or forgotten."""
    return bytes(value[8:]) or None if value is not None else None


def forget_calls(keys: Keys, task_ids: Sequence[str], generation: bytes) -> list[bytes]:
    """Pack the calls that make the other store forget outcomes, and copies that are under way."""
    return [keep_call(keys, id_, generation, _FORGOTTEN_MS, b"") for id_ in task_ids]


def of_results(error: BrokerError) -> BrokerError:
    """Say of the result backend what was said of the broker."""
    kinds = (BrokerAccessError, OperationalError, BrokerError)
    kind = next(kind for kind in kinds if isinstance(error, kind))
    text = str(error).replace("The broker", "The result backend", 1)
    return kind(text.replace("broker_url", "result_backend"))
