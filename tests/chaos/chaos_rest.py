"""What the broker holds at the end of a run."""

from __future__ import annotations

from typing import Any

from windlass.control_plane.dead_letters import list_dead
from windlass.control_plane.depth import list_queues
from windlass.control_plane.history import attempts_of
from windlass.redis_store.resp import packed

_SIZES = {"leased": "HLEN", "leases": "ZCARD", "grants": "HLEN", "left": "HLEN",
          "scheduled": "ZCARD", "parked": "HLEN", "condemned": "SCARD", "blocked": "HLEN",
          "line": "ZCARD", "turns": "ZCARD"}  # fmt: skip
_EVERYTHING = 1_000_000


def at_rest(broker: Any) -> tuple[dict[str, int], list[tuple[str, str, int]]]:
    """Return the sizes of what should be empty and is not, and (queue, counter, value).

    Messages and counters of attempts are those beyond the dead letters'.
    """
    queues, keys = list_queues(broker), broker.keys
    names, calls = [], []
    for queue in queues:
        q = keys.queue(queue)
        for part, command in _SIZES.items():
            names.append(f"{queue}:{part}")
            calls.append(packed(command, getattr(q, part)))
        for priority, ready in enumerate(q.ready):
            names.append(f"{queue}:r{priority}")
            calls.append(packed("LLEN", ready))
    sizes = dict(zip(names, broker.links.call(calls), strict=True)) if calls else {}
    sizes["holds"] = broker.links.call([packed("HLEN", keys.holds)])[0]
    sizes["thens"] = broker.links.call([packed("ZCARD", keys.thens)])[0]
    dead = sum(broker.links.call([packed("ZCARD", keys.queue(queue).dead)])[0] for queue in queues)
    (messages,) = broker.links.call([packed("HLEN", keys.messages)])
    sizes["messages"] = messages - dead
    return {name: size for name, size in sizes.items() if size}, _counters(broker, queues)


def _counters(broker: Any, queues: list[str]) -> list[tuple[str, str, int]]:
    found = []
    for queue in queues:
        reply = broker.links.call([packed("HGETALL", broker.keys.queue(queue).stats)])[0]
        for name, value in zip(reply[::2], reply[1::2], strict=True):
            if name in (b"enqueued", b"completed"):
                found.append((queue, name.decode(), int(value)))
    return found


def dead_letters(broker: Any) -> list[dict[str, Any]]:
    """Every dead letter, as fields of a log line."""
    return [
        {
            "id": letter.id,
            "queue": queue,
            "reason": letter.reason,
            "deliveries": letter.deliveries,
            "detail": letter.detail[:200],
            "attempts": [str(each.end) for each in attempts_of(broker, letter.id)],
        }
        for queue in list_queues(broker)
        for letter in list_dead(broker, queue, 0, _EVERYTHING)
    ]
