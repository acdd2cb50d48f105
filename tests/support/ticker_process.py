"""A ticker as a process of its own, to be killed, stopped and continued: URL KEYSPACE LEAD_S."""

from __future__ import annotations

import signal
import sys
import threading

from windlass import log
from windlass.beat.ticker import Ticker
from windlass.brokers.redis import RedisBroker


def main() -> None:
    """Tick until TERM."""
    url, keyspace, holder, lead_s = sys.argv[1:]
    log.configure("INFO", stream=sys.stderr)
    ticker = Ticker(RedisBroker(url, keyspace=keyspace), holder=holder, lead_s=float(lead_s))
    thread = threading.Thread(target=ticker.run)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    thread.start()
    stop.wait()
    ticker.stop()
    thread.join()


if __name__ == "__main__":
    main()
