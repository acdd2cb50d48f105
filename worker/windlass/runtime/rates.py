"""The rate limit of one task on one worker (scope worker, as Celery's). Pure: times come in.

A message over the limit is not held: it goes back as scheduled, without counting as a retry,
spread over the time that the limit needs, so a queue full of them is read once and not in
circles. Only what is due within a moment waits in the supervisor.
"""

from __future__ import annotations

from windlass import rate_limits

#: What is over the limit by less than this waits here; it is not worth a way to the broker.
HOLD_S = 0.5


class TokenBucket:
    """One token each 1/rate seconds; at most one is kept, so starts are evenly spaced."""

    __slots__ = ("_last_deferral", "_next_free", "spacing_s")

    def __init__(self, per_second: float) -> None:
        self.spacing_s = 1.0 / per_second
        self._next_free = 0.0
        self._last_deferral = 0.0

    @classmethod
    def of(cls, limit: str | float | None) -> TokenBucket | None:
        """Return the bucket of a limit as Celery writes it ("10/s"), None for no limit."""
        per_second = rate_limits.parse_rate(limit)
        return None if per_second is None else cls(per_second)

    def take(self, now: float) -> float:
        """Take a token if there is one.

        Returns:
            0.0 when it was taken, else the seconds until there is one.
        """
        if now >= self._next_free:
            # Counted from when it was free, or a loop that looks every few milliseconds would
            # lose them each time; but idle time is not saved up.
            is_late = now - self._next_free > self.spacing_s
            self._next_free = (now if is_late else self._next_free) + self.spacing_s
            return 0.0
        return self._next_free - now

    def defer(self, now: float) -> float:
        """Return after how many seconds a message that found no token may try again.

        Each call gets a later time, one spacing apart: what is deferred comes back at the rate.
        """
        at = max(self._next_free, self._last_deferral, now) + self.spacing_s
        self._last_deferral = at
        return at - now
