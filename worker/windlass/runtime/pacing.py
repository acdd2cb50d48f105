"""How much work a slot may hold: measured run times in, counts out. Pure.

Nothing is hoarded: a task whose run time is not known goes one to each free lane; a measured one
in batches of at most one second of estimated work. A lane is one unit of concurrency: a prefork
slot has one, a threads or asyncio process has as many as its concurrency.
Next in the walk: `windlass.runtime.dispatch`.
"""

from __future__ import annotations

from functools import cache

#: A lane holds at most this much estimated work, the running message included.
WORK_PER_LANE_S = 1.0
#: And at most this many messages, however short.
MESSAGES_PER_LANE = 200
#: And a process never more than this, however many lanes it has.
MESSAGES_PER_PROCESS = 1000
#: Weight of the newest run in the moving average.
EWMA_WEIGHT = 0.1
#: What is left of the remembered maximum after each run: half of it after 34 runs.
MAX_DECAY = 0.98
#: An estimate is never below this, so that a count is always finite.
SHORTEST_S = 1e-5
#: Below this share of its fill a worker fetches again.
REFILL_SHARE = 0.5


class RunTime:
    """The measured run time of one task: a moving average and a slowly forgotten maximum.

    The estimate is the larger of the two, so one long run makes the next batches small at once,
    and many short ones make them large again.
    """

    __slots__ = ("_average_s", "_peak_s", "estimate_s")

    def __init__(self) -> None:
        self._average_s = 0.0
        self._peak_s = 0.0
        #: Seconds; None until the first run was measured.
        self.estimate_s: float | None = None

    def record(self, duration_s: float) -> None:
        """Take one more measured run into account."""
        if self.estimate_s is None:
            self._average_s = self._peak_s = duration_s
        else:
            self._average_s += EWMA_WEIGHT * (duration_s - self._average_s)
            peak_s = self._peak_s * MAX_DECAY
            self._peak_s = duration_s if duration_s > peak_s else peak_s
        worst_s = self._peak_s if self._peak_s > self._average_s else self._average_s
        self.estimate_s = worst_s if worst_s > SHORTEST_S else SHORTEST_S


class Mix:
    """What the stream of fetched messages costs on average: how large the next fetch may be.

    A message without a measured run time counts as a whole lane, so a stream of unknown tasks is
    fetched one to a free lane.
    """

    __slots__ = ("mean_s",)

    def __init__(self) -> None:
        self.mean_s = WORK_PER_LANE_S

    def record(self, estimates_s: list[float | None]) -> None:
        """Take one fetched batch into account."""
        if not estimates_s:
            return
        total_s = sum(WORK_PER_LANE_S if e is None else e for e in estimates_s)
        batch_mean_s = total_s / len(estimates_s)
        if batch_mean_s > self.mean_s:
            self.mean_s = batch_mean_s  # towards caution at once, back slowly
        else:
            self.mean_s += 0.5 * (batch_mean_s - self.mean_s)


@cache  # asked for each message
def message_cap(lanes: int) -> int:
    """Return the most messages that a process with so many lanes may hold."""
    return max(lanes, min(lanes * MESSAGES_PER_LANE, MESSAGES_PER_PROCESS))


def room_for(lanes: int, held: int, load_s: float, estimate_s: float) -> int:
    """Say how many more messages of about `estimate_s` a process may be given.

    Args:
        lanes: Units of concurrency of the process.
        held: Messages it has, running ones included.
        load_s: Estimated seconds of work in them.
        estimate_s: Estimated seconds of one more.

    Returns:
        At least the number of free lanes, at most what fits in one second a lane.
    """
    free = lanes - held if lanes > held else 0
    work_left_s = lanes * WORK_PER_LANE_S - load_s
    fits = int(work_left_s / estimate_s) if work_left_s > 0 else 0
    by_count = message_cap(lanes) - held
    return max(free, min(fits, by_count))


def accepts(lanes: int, held: int, load_s: float, estimate_s: float | None) -> bool:
    """Say whether one more message with this estimate (None: not measured) may be given now."""
    if held < lanes:
        return True
    if estimate_s is None:
        return False
    return held < message_cap(lanes) and load_s + estimate_s <= lanes * WORK_PER_LANE_S


def is_refill_due(want: int, room_when_empty: int, *, idle_lanes: bool) -> bool:
    """Say whether to fetch now: a lane has nothing to do, or half of the fill is used up."""
    if want <= 0:
        return False
    return idle_lanes or want >= room_when_empty * REFILL_SHARE
