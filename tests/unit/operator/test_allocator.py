"""Memory that was needed once does not stay with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

#: Eighty megabytes in small blocks; the last one holds the end of the heap in its place.
_PROGRAM = """
from windlass_operator import allocator

def resident_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * {page}

allocator.limit_arenas()
blocks = [bytes(2048) for _ in range(40_000)]
last = blocks[-1]
blocks.clear()
before = resident_bytes()
allocator.give_back()
print((before - resident_bytes()) // 2**20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told anything")
def test_what_is_free_is_given_back() -> None:
    program = _PROGRAM.format(page=os.sysconf("SC_PAGE_SIZE"))
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout

    assert int(printed) > 40, f"{printed} MiB given back of 80"
