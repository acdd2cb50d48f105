"""What serializers and results cost: `python tests/bench/micro_serializers.py`.

Microseconds of CPU time a call, the median of several rounds. It prints, it does not judge.
"""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable
from datetime import UTC, datetime

from windlass import Windlass
from windlass.results import codec
from windlass.results.codec import About
from windlass.results.handle import AsyncResult
from windlass.serializers import registry

ROUNDS = 7
SECONDS_A_ROUND = 0.05
ACCEPT = frozenset({"json", "msgpack", "pickle"})
BODIES = {
    "add(1, 2)": ([1, 2], {}),
    "a typical body": (
        [17, "ada@example.org"],
        {"order": {"id": 5, "lines": [1, 2]}, "dry": False},
    ),
    "a datetime": ([datetime(2026, 11, 24, tzinfo=UTC)], {}),
    "1,000 floats": ([[index / 7 for index in range(1000)]], {}),
}


def microseconds(call: Callable[[], object]) -> float:
    """Return the median of the rounds' averages."""
    timer = timeit.Timer(call, timer=time.thread_time)
    once_s = max(timer.timeit(200) / 200, 1e-8)
    number = max(1, round(SECONDS_A_ROUND / once_s))
    return statistics.median(timer.repeat(ROUNDS, number)) / number * 1e6


def show(what: str, call: Callable[[], object]) -> None:
    """Print one line."""
    print(f"{what:<48}{microseconds(call):>10.2f} us")


def bodies() -> None:
    """Measure message bodies in each serializer."""
    for name in ("json", "msgpack", "pickle"):
        content_type = registry.content_type_of(name)
        for what, (args, kwargs) in BODIES.items():
            data = registry.encode_body(args, kwargs, {}, name)
            show(f"{name}: encode {what}", lambda: registry.encode_body(args, kwargs, {}, name))  # noqa: B023 - called at once
            show(f"{name}: decode {what}", lambda: registry.decode(data, content_type, ACCEPT))  # noqa: B023


def results() -> None:
    """Measure stored results and their handles."""
    app = Windlass("micro", set_as_current=False)
    about = About(now_ms=1_764_000_000_000, max_bytes=16 * 1024 * 1024)
    stored = codec.encode_success("id", 3, about)
    failed = codec.encode_failure("id", ValueError("no"), "Traceback", about)
    show("result: encode None", lambda: codec.encode_success("id", None, about))
    show("result: encode 3", lambda: codec.encode_success("id", 3, about))
    show(
        "result: encode 3, with a new About", lambda: codec.encode_success("id", 3, About(now_ms=1))
    )
    show("result: decode 3", lambda: codec.decode_meta("id", stored, ACCEPT))
    show("result: decode an exception", lambda: codec.decode_meta("id", failed, ACCEPT))
    show("result: is_final", lambda: codec.is_final(stored))
    show("result: make a handle", lambda: AsyncResult("id", app=app))


if __name__ == "__main__":
    bodies()
    results()
