"""Gives memory back that the allocator would keep: of large answers, and of one arena a thread.

glibc raises the size from which a block is given back whenever a larger one was freed, and makes an
arena for each thread; after one large listing the process would be that large for ever. Elsewhere
than on glibc this does nothing.
"""

from __future__ import annotations

import ctypes
import sys

#: From malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_ARENAS = 2
_LARGE_BYTES = 128 * 1024


def limit_arenas() -> None:
    """Set it up, before threads are started."""
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, _ARENAS)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Give back what is free now; takes some milliseconds."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
