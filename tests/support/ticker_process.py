"""A ticker as a process of its own, to be killed, stopped and continued.

Arguments: URL KEYSPACE NAME LEAD_S. After SIGUSR1 it stops itself (SIGSTOP) at the worst moment:
when it has decided to fire, and has not asked the broker yet.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence

from windlass import log
from windlass.beat.store import Fire, Fired
from windlass.beat.ticker import Ticker
from windlass.brokers.redis import RedisBroker


def main() -> None:
    """Tick until TERM."""
    url, keyspace, holder, lead_s = sys.argv[1:]
    log.configure("INFO", stream=sys.stderr)
    ticker = Ticker(RedisBroker(url, keyspace=keyspace), holder=holder, lead_s=float(lead_s))
    stop_before_fire(ticker)
    thread = threading.Thread(target=ticker.run)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    thread.start()
    stop.wait()
    ticker.stop()
    thread.join()


def stop_before_fire(ticker: Ticker) -> None:
    """Have SIGUSR1 stop the process right before its next fire."""
    asked, fire = threading.Event(), ticker._store.fire

    def stopping(fires: Sequence[Fire]) -> list[Fired]:
        if asked.is_set():
            asked.clear()
            os.kill(os.getpid(), signal.SIGSTOP)
        return fire(fires)

    ticker._store.fire = stopping  # type: ignore[method-assign]  # this is what the test is about
    signal.signal(signal.SIGUSR1, lambda *_: asked.set())


if __name__ == "__main__":
    main()
