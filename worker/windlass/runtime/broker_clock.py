"""The broker's clock as this process knows it: an offset to the monotonic clock. Pure.

An answer arrives later than its time stamp was taken, so each measure of the offset is too small by
the way back. The largest is the best; it is forgotten slowly, since clocks drift, and at once where
the broker's clock has been set.
"""

from __future__ import annotations

#: Measures that differ by more are not noise: somebody has set a clock, milliseconds.
JUMP_MS = 1000.0
#: How far one smaller measure draws the offset down.
FORGETTING = 0.05


class BrokerClock:
    """Kept by the supervisor's loop; `offset_ms` travels with every batch to the slots.

    Attributes:
        offset_ms: Broker's clock less CLOCK_MONOTONIC, milliseconds.
    """

    __slots__ = ("_is_set", "offset_ms")

    def __init__(self) -> None:
        self.offset_ms = 0.0
        self._is_set = False

    def measure(self, broker_ms: float, at: float, asked: float | None = None) -> None:
        """Take an answer into account.

        Args:
            broker_ms: The broker's time in it, in whole milliseconds.
            at: Monotonic seconds of its arrival.
            asked: The same of the question, where it matters that this clock is never ahead: it was
                not later on the broker then. Without, a clock that was set back by less than
                JUMP_MS is followed slowly.
        """
        measured_ms = broker_ms - at * 1000.0
        difference_ms = measured_ms - self.offset_ms
        if not self._is_set or difference_ms > 0 or difference_ms < -JUMP_MS:
            self.offset_ms = measured_ms
            self._is_set = True
        else:
            self.offset_ms += FORGETTING * difference_ms
        if asked is not None:
            self.offset_ms = min(self.offset_ms, broker_ms + 1.0 - asked * 1000.0)

    def monotonic_at(self, broker_ms: float) -> float:
        """Return the monotonic time, seconds, of a time of the broker's."""
        return (broker_ms - self.offset_ms) / 1000.0

    def now_ms(self, now: float) -> int:
        """Return the broker's time at a monotonic time."""
        return round(now * 1000.0 + self.offset_ms)
