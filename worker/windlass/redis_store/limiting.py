"""Packed calls about limits: freeing slots, putting them right, declaring limits. No I/O.

A grant whose messages hold slots has a token below zero, so whoever settles one of them knows that
others may wait for what it gives up, and nobody else pays for that.
Next in the walk: `lua/lib/limits.lua`, `lua/free_slots.lua`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from windlass.brokers.base import Settlement
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import Argument
from windlass.redis_store.scripts import script
from windlass.redis_store.wire import Reply


def holders(settlements: Iterable[Settlement]) -> dict[str, list[tuple[str, int]]]:
    """Return (id, token) of the settlements that give up slots, by queue."""
    found: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for item in settlements:
        if item.token < 0:
            found[item.queue].append((item.id, item.token))
    return found


def free(
    keys: Keys, queue: str, ended: Sequence[tuple[str, int]], gates: Sequence[bytes] = ()
) -> bytes:
    """Pack the freeing of slots.

    Args:
        keys: Of the keyspace.
        queue: Whose leases ended, or where messages wait at `gates`.
        ended: (id, token) of messages.
        gates: Others that have room.
    """
    q = keys.queue(queue)
    touched = (keys.holds, keys.gates, q.retry, q.stats, q.wake, q.idle)
    args: list[Argument] = [queue, len(ended)]
    for id_, token in ended:
        args += (id_, token)
    return script("free_slots").command(touched, (*args, *gates))


def elsewhere(keys: Keys, pairs: Sequence[bytes]) -> list[bytes]:
    """Pack the calls that tell other queues of gates with room; pairs is queue, gate, .."""
    gates: defaultdict[str, list[bytes]] = defaultdict(list)
    for queue, gate in zip(pairs[::2], pairs[1::2], strict=True):
        gates[queue.decode()].append(gate)
    return [free(keys, queue, (), told) for queue, told in gates.items()]


def sweep(keys: Keys, now: str, queue: str, cursor: bytes = b"0") -> bytes:
    """Pack one part of putting limits right."""
    q = keys.queue(queue)
    touched = (keys.limits, keys.holds, keys.gates, q.leased, q.retry, q.wake, q.idle)
    return script("sweep_limits").command(touched, (now, queue, cursor))


def swept(reply: Reply) -> tuple[bytes, int, Sequence[bytes]]:
    """Read the reply: next cursor, how many let go of slots, queue and gate of others."""
    cursor, count, others = reply
    return cursor, count, others


def give(keys: Keys, changes: Iterable[tuple[str, str, str | bytes]]) -> bytes:
    """Pack a change of limits: ("d" declared or "s" set, task, JSON or "" for none)."""
    args = [word for change in changes for word in change]
    return script("set_limits").command((keys.limits, keys.limits_given), args)
