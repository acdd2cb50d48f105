"""A wall clock that jumps, in every process that has this folder on PYTHONPATH.

$CHAOS_CLOCK names a file that holds a double, the seconds to be added to the wall clock. It is
mapped, so a jump is seen by all of them at once, and a look costs nothing. Only what Python code
asks is shifted: time.time, time.time_ns, datetime.now, utcnow and today. CLOCK_MONOTONIC is not, as
on a real machine; Redis has the true time.
"""

from __future__ import annotations

import datetime as _datetime
import mmap
import os
import struct
import time as _time


def _install(path: str) -> None:
    with open(path, "rb") as file:
        shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    real_time, real_time_ns, real = _time.time, _time.time_ns, _datetime.datetime

    def offset_s() -> float:
        return struct.unpack_from("d", shared)[0]

    def shifted() -> float:
        return real_time() + offset_s()

    def shifted_ns() -> int:
        return real_time_ns() + int(offset_s() * 1e9)

    class _Meta(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

    class Jumped(real, metaclass=_Meta):
        @classmethod
        def now(cls, tz=None):
            return real.fromtimestamp(shifted(), tz)

        @classmethod
        def utcnow(cls):
            return real.fromtimestamp(shifted(), _datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return real.fromtimestamp(shifted())

    _time.time, _time.time_ns = shifted, shifted_ns
    Jumped.__name__ = Jumped.__qualname__ = "datetime"
    Jumped.__module__ = "datetime"
    _datetime.datetime = Jumped


if path := os.environ.get("CHAOS_CLOCK"):
    _install(path)
