"""Many dead letters at once: found by what is known of them, replayed or dropped, page by page.

However many there are, a page of them is in memory, and never the body of a message.
Next in the walk: `lua/list_dead.lua`, then `windlass.control_plane.dead_letters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from windlass.brokers.memory import MemoryBroker
from windlass.brokers.redis import RedisBroker
from windlass.control_plane import memory
from windlass.control_plane.dead_letters import (
    DeadLetter,
    broker_now_ms,
    letter_of,
    purge_dead,
    replay,
)
from windlass.redis_store.scripts import script

PAGE = 500


class Selection(msgspec.Struct, kw_only=True, frozen=True):
    """Which dead letters are meant: those for which everything given here is so.

    Attributes:
        task: Name of the task.
        reason: One of `Reason`.
        error: A part of the detail, whatever its case: the class or the text of an exception, a
            signal.
        worker: Id or node name of the worker that made it a dead letter.
        since_ms: It died then or later, by the broker's clock.
        until_ms: It died then or before.
    """

    task: str | None = None
    reason: str | None = None
    error: str | None = None
    worker: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None

    def has(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is meant; its time is not looked at."""
        return (
            self.task in (None, letter.task)
            and self.reason in (None, letter.reason)
            and (self.error is None or self.error.casefold() in letter.detail.casefold())
            and self.worker in (None, letter.worker, letter.worker.rsplit("-", 2)[0])
        )


class Tally(msgspec.Struct, kw_only=True):
    """What came of a selection.

    Attributes:
        matched: Dead letters that were meant.
        done: Of those, the ones that were replayed or dropped.
    """

    matched: int = 0
    done: int = 0


def select(
    broker: RedisBroker | MemoryBroker, queue: str, where: Selection
) -> Iterator[DeadLetter]:
    """Yield the dead letters meant, the newest first. Their `raw` ends before the body."""
    offset = 0
    while page := _page(broker, queue, where, offset, is_newest_first=True):
        offset += len(page)
        yield from filter(where.has, page)


def replay_selected(
    broker: RedisBroker | MemoryBroker,
    queue: str,
    where: Selection,
    *,
    limit: int | None = None,
    start_ms: int | None = None,
    apart_ms: float = 0.0,
    dry_run: bool = False,
) -> Tally:
    """Make the dead letters meant ready again, the oldest first.

    What dies again meanwhile is not replayed a second time.

    Args:
        broker: Where.
        queue: Where they are dead letters.
        where: Which.
        limit: At most so many.
        start_ms: When the first one is due, by the broker's clock; None makes all ready at once.
        apart_ms: From one to the next.
        dry_run: Count, and do nothing.
    """
    tally = Tally()

    def replay_page(ids: Sequence[str]) -> int:
        first = None if start_ms is None else round(start_ms + apart_ms * tally.done)
        return replay(broker, queue, ids, start_ms=first, apart_ms=apart_ms)

    _each_page(broker, queue, where, limit, tally, None if dry_run else replay_page)
    return tally


def purge_selected(
    broker: RedisBroker | MemoryBroker,
    queue: str,
    where: Selection,
    *,
    limit: int | None = None,
    dry_run: bool = False,
) -> Tally:
    """Delete the dead letters meant, the oldest first; arguments as `replay_selected`."""
    tally = Tally()
    drop = None if dry_run else lambda ids: purge_dead(broker, queue, ids)
    _each_page(broker, queue, where, limit, tally, drop)
    return tally


def _each_page(
    broker: RedisBroker | MemoryBroker,
    queue: str,
    where: Selection,
    limit: int | None,
    tally: Tally,
    act: Callable[[Sequence[str]], int] | None,
) -> None:
    now_ms = broker_now_ms(broker)
    until_ms = now_ms if where.until_ms is None else min(where.until_ms, now_ms)
    where, offset = msgspec.structs.replace(where, until_ms=until_ms), 0
    while page := _page(broker, queue, where, offset, is_newest_first=False):
        ids = [letter.id for letter in page if where.has(letter)]
        if limit is not None:
            ids = ids[: limit - tally.matched]
        tally.matched += len(ids)
        gone = act(ids) if act is not None and ids else 0
        tally.done += gone
        offset += len(page) - gone
        if tally.matched == limit:
            return


def _page(
    broker: RedisBroker | MemoryBroker,
    queue: str,
    where: Selection,
    offset: int,
    *,
    is_newest_first: bool,
) -> list[DeadLetter]:
    since_ms, until_ms = where.since_ms, where.until_ms
    if isinstance(broker, MemoryBroker):
        found = memory.dead_page(broker, queue, since_ms, until_ms, is_newest_first=is_newest_first)
        ids = found[offset : offset + PAGE]
        return [letter_of(queue, *each) for each in memory.load_dead(broker, queue, ids)]
    q = broker.keys.queue(queue)
    args = (
        "-inf" if since_ms is None else since_ms, "+inf" if until_ms is None else until_ms, offset,
        PAGE, int(is_newest_first),
    )  # fmt: skip
    call = script("list_dead").command((broker.keys.messages, q.dead, q.obits), args)
    flat = broker.links.call([call])[0]
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    return [letter_of(queue, id_.decode(), msgspec.json.decode(why), raw) for id_, why, raw in rows]
