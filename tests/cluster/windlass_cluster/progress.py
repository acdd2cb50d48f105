"""Says what is going on, on standard error, with the time since the start.

Nothing here is silent for more than fifteen seconds: a first build takes tens of minutes, and
whoever waits has to see what is built, how long it usually takes and that it is alive.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_HEARTBEAT_S = 15.0


def say(text: str) -> None:
    """One line for the person who waits."""
    print(f"==> {text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str, *, usually: str = "") -> Iterator[None]:
    """Announces a step, repeats that it runs, and says how long it took.

    Args:
        what: What is done, as a phrase ("building kubernetes").
        usually: How long it usually takes, in words; empty when it is a matter of seconds.
    """
    hint = f" (usually {usually})" if usually else ""
    say(f"{what}{hint}")
    started = time.monotonic()
    done = threading.Event()
    ticker = threading.Thread(target=_tick, args=(what, started, done), daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    say(f"{what}: done in {time.monotonic() - started:.1f} s")


def _tick(what: str, started: float, done: threading.Event) -> None:
    while not done.wait(_HEARTBEAT_S):
        say(f"{what}: still running after {time.monotonic() - started:.0f} s")
