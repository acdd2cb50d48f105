"""Whether this worker is on its way out: a byte of memory that its processes share.

Made before slots are forked, set by the supervisor when a drain begins, read by tasks; neither
needs a message or a lock. Next in the walk: `windlass.checkpoints`.
"""

from __future__ import annotations

import mmap


class StopFlag:
    """Off until it is set, in this process and all that are forked from it."""

    __slots__ = ("_memory",)

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 1)

    def set(self) -> None:
        """Say that the worker is to end."""
        self._memory[0] = 1

    @property
    def is_set(self) -> bool:
        """Whether it is."""
        return self._memory[0] == 1
