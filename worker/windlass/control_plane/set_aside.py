"""What of a queue is set aside: parked messages by task, dead letters by reason. Reads only.

Of many more than a thousand parked messages or dead letters only a thousand are looked at, the same
ones while nothing changes, and their counts are scaled up: this is for people and for scaling, and
must never hold a broker up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.scripts import script
from windlass.redis_store.wire import Reply

#: Messages looked at, of each kind.
MOST = 1000
#: Names kept, the most frequent first.
MOST_NAMES = 100


class SetAside(msgspec.Struct, kw_only=True, frozen=True):
    """What of one queue is set aside.

    Attributes:
        parked: Messages whose task no worker knows.
        tasks: Those by task, the most frequent first; about right if there are over `MOST`.
        dead: Dead letters.
        reasons: Those by reason, in the same way.
    """

    parked: int = 0
    tasks: Mapping[str, int] = {}
    dead: int = 0
    reasons: Mapping[str, int] = {}


def read_set_aside(broker: RedisBroker | MemoryBroker, queues: Sequence[str]) -> list[SetAside]:
    """Read what is set aside of each queue, in their order; one round trip."""
    if isinstance(broker, MemoryBroker):
        return [_in_memory(broker, name) for name in queues]
    if not queues:
        return []
    replies = broker.links.call([set_aside_call(broker.keys, name) for name in queues])
    return [set_aside_of(reply) for reply in replies]


def survey_set_aside(
    links: Links, wanted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], SetAside]:
    """Read what is set aside of (keyspace, queue) pairs on one server; one round trip.

    Raises:
        BrokerError: The server could not be asked; nothing is known then.
    """
    pairs = list(wanted)
    if not pairs:
        return {}
    replies = links.call([set_aside_call(Keys(space), queue) for space, queue in pairs])
    return {pair: set_aside_of(reply) for pair, reply in zip(pairs, replies, strict=True)}


def set_aside_call(keys: Keys, queue: str, most: int = MOST) -> bytes:
    """Pack the read of one queue."""
    q = keys.queue(queue)
    return script("set_aside").command((q.parked, q.obits), (most,))


def set_aside_of(reply: Reply) -> SetAside:
    """Read the reply to `set_aside_call`."""
    parked, parked_seen, tasks, dead, dead_seen, reasons = reply
    return SetAside(
        parked=parked,
        tasks=_scaled(tasks, parked, parked_seen),
        dead=dead,
        reasons=_scaled(reasons, dead, dead_seen),
    )


def _scaled(flat: Sequence[bytes | int], total: int, seen: int) -> dict[str, int]:
    names = [str(name, "utf-8", "replace") for name in flat[::2] if isinstance(name, bytes)]
    counts = [int(count) for count in flat[1::2]]
    scale = total / seen if seen else 1.0
    ranked = sorted(zip(counts, names, strict=True), key=lambda pair: (-pair[0], pair[1]))
    return {name: max(1, round(count * scale)) for count, name in ranked[:MOST_NAMES]}


def _in_memory(broker: MemoryBroker, name: str) -> SetAside:
    with broker.store.changed:
        queue = broker.store.queue(name)
        tasks = Counter(task for _, task in queue.parked.values())
        reasons = Counter(obit.reason for obit in queue.dead.values())
        return SetAside(
            parked=len(queue.parked),
            tasks=_ranked(tasks),
            dead=len(queue.dead),
            reasons=_ranked(reasons),
        )


def _ranked(counts: Counter[str]) -> dict[str, int]:
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(ranked[:MOST_NAMES])
