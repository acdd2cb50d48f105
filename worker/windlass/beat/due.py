"""What is to be fired now, and when to look again. Pure: the time is an argument.

A nominal time is due at itself plus its jitter. From the entry and the last nominal time that was
dealt with follows everything, so any ticker decides the same.
Next in the walk: `windlass.control_plane.schedules`, then `windlass.beat.ticker`.
"""

from __future__ import annotations

import hashlib
from collections import deque

import msgspec

from windlass.beat.entry import CATCH_UP_AT_MOST, CatchUp, Entry
from windlass.beat.timing import Every

#: Missed times are counted up to so many at once.
COUNTED_AT_MOST = 1000
_HOUR_MS = 3_600_000
#: How far back to look for the latest due time, further each time.
_WINDOWS_MS = (_HOUR_MS, 24 * _HOUR_MS, 31 * 24 * _HOUR_MS, 366 * 24 * _HOUR_MS)


class Base(msgspec.Struct, frozen=True):
    """What an entry's due times follow from, beside the entry.

    Attributes:
        uid: Of the schedule.
        last_ms: The last nominal time that was dealt with, 0 for none.
        since_ms: When it was declared, timed anew or resumed: nothing before that is due.
    """

    uid: str
    last_ms: int
    since_ms: int


class Due(msgspec.Struct, frozen=True):
    """What to do about an entry now.

    Attributes:
        fire: Nominal times to fire, the oldest first.
        missed: How many due times will never be fired, counted up to COUNTED_AT_MOST.
        passed_ms: The latest nominal time that is dealt with; 0 when nothing was due.
    """

    fire: tuple[int, ...] = ()
    missed: int = 0
    passed_ms: int = 0


def next_nominal(entry: Entry, base: Base, after_ms: int | None = None) -> int | None:
    """Return the first nominal time after what was dealt with; None when there is none any more.

    Args:
        entry: The entry.
        base: What its due times follow from.
        after_ms: After this time instead.
    """
    start_ms = entry.start_ms
    after_ms = max(base.last_ms, base.since_ms) if after_ms is None else after_ms
    if after_ms < start_ms:
        if isinstance(entry.timing, Every) and not entry.timing.relative:
            return start_ms
        after_ms = start_ms - 1
    found = entry.timing.next_after(after_ms, start_ms or base.since_ms)
    if found is None or (entry.end_ms and found > entry.end_ms):
        return None
    return found


def fires_at(entry: Entry, uid: str, nominal_ms: int) -> int:
    """Return when a nominal time is fired: later by its jitter, the same on every ticker."""
    spread_ms = round(entry.jitter_s * 1000)
    if not spread_ms:
        return nominal_ms
    drawn = hashlib.sha256(f"jitter:{uid}:{nominal_ms}".encode()).digest()
    return nominal_ms + int.from_bytes(drawn[:6], "big") % (spread_ms + 1)


def decide(entry: Entry, base: Base, now_ms: int) -> Due:
    """Return what is to be fired now, by catch-up policy and starting deadline."""
    times, count = _due_times(entry, base, now_ms)
    if not times:
        return Due()
    in_time = [
        nominal
        for nominal in times
        if now_ms - fires_at(entry, base.uid, nominal) <= entry.deadline_ms
    ]
    kept = tuple(in_time) if entry.catch_up is CatchUp.ALL else tuple(in_time[-1:])
    return Due(kept, count - len(kept), times[-1])


def _due_times(entry: Entry, base: Base, now_ms: int) -> tuple[list[int], int]:
    """Return the latest due times, the oldest first, and how many there are in all, about."""
    first = next_nominal(entry, base)
    if first is None or fires_at(entry, base.uid, first) > now_ms:
        return [], 0
    wanted = CATCH_UP_AT_MOST if entry.catch_up is CatchUp.ALL else 1
    found: deque[int] = deque(maxlen=wanted)
    for window_ms in _WINDOWS_MS:
        after_ms = now_ms - window_ms
        if after_ms <= first:
            break
        found.clear()
        count = _collect(entry, base, after_ms, now_ms, found)
        if count >= wanted:
            return list(found), COUNTED_AT_MOST
    found.clear()
    found.append(first)
    count = 1 + _collect(entry, base, first, now_ms, found)
    return list(found), min(count, COUNTED_AT_MOST)


def _collect(entry: Entry, base: Base, after_ms: int, now_ms: int, found: deque[int]) -> int:
    count, nominal = 0, next_nominal(entry, base, after_ms)
    while nominal is not None and fires_at(entry, base.uid, nominal) <= now_ms:
        found.append(nominal)
        count += 1
        nominal = next_nominal(entry, base, nominal)
    return count
