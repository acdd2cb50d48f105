"""Small pieces of calls: times, outcomes and texts as the scripts take them. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from windlass.brokers.base import Done, StoredResult
from windlass.continuations import Release
from windlass.messages import Outgoing
from windlass.redis_store.wire import Reply
from windlass.stamp_marks import Mark, StampMarks

T = TypeVar("T")
#: Messages in one script call: keeps a call near a millisecond, so that others get their turn.
CHUNK = 500
#: Characters of a text for people that are kept.
MAX_DETAIL = 4_000
#: Bodies or outcomes in one script call, bytes: a server closes a connection that sends it 1 GB at
#: once, and nobody else gets a turn while it reads.
MAX_CALL_BYTES = 8 * 1024 * 1024


def due_spec(message: Outgoing | Release, now: str | int) -> str:
    """Return when a message is due, as `lib/put.lua` reads it."""
    if message.delay_ms is not None:
        # The server's clock is read in whole milliseconds, cut off: a delay gets one more, since it
        # may end late and never early.
        is_cut = now == "" and message.delay_ms > 0
        return f"+{message.delay_ms + is_cut}"
    return "" if message.eta_ms is None else f"={message.eta_ms}"


def expires_spec(message: Outgoing | Release) -> str:
    """Return when a message expires, as `lib/put.lua` reads it."""
    if message.ttl_ms is not None:
        return f"+{message.ttl_ms}"
    return "" if message.expires_at_ms is None else f"={message.expires_at_ms}"


def chunks(items: list[T], sizes: Iterable[int]) -> Iterable[list[T]]:
    """Cut into parts of at most CHUNK items, and of MAX_CALL_BYTES or a single item."""
    start = size = 0
    for at, item_size in enumerate(sizes):
        size += item_size
        if at - start == CHUNK or (size > MAX_CALL_BYTES and at > start):
            yield items[start:at]
            start, size = at, item_size
    yield items[start:]


def payload_bytes(item: Done) -> int:
    """Size of the outcome."""
    return 0 if item.result is None else len(item.result.payload)


def result_args(result: StoredResult | None) -> tuple[int, int, bytes]:
    """Return (has outcome, ttl, payload) as scripts take them."""
    return (0, 0, b"") if result is None else (1, result.ttl_ms, result.payload)


def text_bytes(value: str) -> bytes:
    """Encode a text for people, cut to a size that a dead letter may have; never fails."""
    return value[:MAX_DETAIL].encode("utf-8", "replace")


def ids_in(reply: Reply) -> list[str]:
    """Read a reply that is a list of ids."""
    return [item.decode() for item in reply]


def read_marks(generation: int, rows: Sequence[bytes]) -> StampMarks:
    """Read revoked stamps: marks, each with its end in ms behind it."""
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return StampMarks(generation, [Mark.decode(row, int(float(until))) for row, until in pairs])
