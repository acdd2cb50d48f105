"""Says whether a measurement on this machine would mean anything at the moment."""

import os

_BUSY_PER_CORE = 1.5


def is_busy() -> bool:
    """Whether others have the cores: a time measured now says more about them than about us."""
    return os.getloadavg()[0] > _BUSY_PER_CORE * (os.cpu_count() or 1)


def is_quick(took_s: float, *, limit_s: float) -> bool:
    """Whether something took less than its limit; on a busy machine the limit is not applied.

    Args:
        took_s: How long it took; printed, so that a report shows it either way.
        limit_s: How long it may take on a machine that does nothing else.
    """
    print(f"took {took_s:.1f} s of {limit_s:.0f} s allowed; load {os.getloadavg()[0]:.1f}")
    return took_s < limit_s or is_busy()
