"""What a broker is asked, and answers, about messages that must not be beside others like them.

Next in the walk: `windlass.redis_store.locking`, `windlass.brokers.memory_unique`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from windlass.brokers.settlements import StoredResult

#: Builds the outcome of a message that another one takes the place of.
ReplacedResult = Callable[[str], StoredResult | None]
#: Builds the tail of a message (its index in the call) under the id that it is stored under; None:
#: its own will do.
Tails = Callable[[int, str], bytes] | None


def no_result(_id: str) -> StoredResult | None:
    """Store none."""
    return None


class Claimed(NamedTuple):
    """What became of a message that was sent with a lock.

    Attributes:
        id: Of the message that the caller's call came to: its own, or that of the holder.
        is_new: It was stored; False for one that was there, or that has ended, under this id.
        is_held: Another message holds the lock: nothing was stored.
        is_merged: The holder, which waits, has its arguments and times now.
        is_running: The holder is leased.
    """

    id: str
    is_new: bool = False
    is_held: bool = False
    is_merged: bool = False
    is_running: bool = False


class Swept(NamedTuple):
    """A part of the locks was looked at.

    Attributes:
        cursor: Where the next call goes on, "0" at the end.
        seen: How many were looked at.
        dropped: How many held nothing any more.
    """

    cursor: str
    seen: int
    dropped: int
