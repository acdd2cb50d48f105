"""Threads that fire schedules: one ticker for each keyspace that BeatSchedules live in.

They are the engine's own (`windlass.beat.ticker`): all state is on the broker, any number of them
may run, and each time is fired once. The leader's run only to spare the brokers the others; one of
a leader that was stopped and does not know yet that another leads is refused by the script.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from windlass import log as logs
from windlass.beat.store import Fire
from windlass.beat.ticker import Ticker
from windlass.brokers.redis import RedisBroker

log = logs.get_logger(__name__)

#: (address, keyspace).
Space = tuple[str, str]
_JOIN_S = 5.0


class _Thread(threading.Thread):
    def __init__(self, broker: RedisBroker, ticker: Ticker) -> None:
        super().__init__(name=f"windlass-ticker-{broker.keys.keyspace}", daemon=True)
        self._broker = broker
        self._ticker = ticker

    def stop(self) -> None:
        self._ticker.stop()

    def run(self) -> None:
        try:
            self._ticker.run()
        except Exception:
            log.exception("ticker_failed", keyspace=self._broker.keys.keyspace)
        finally:
            self._broker.close()


class Tickers:
    """The tickers of all keyspaces.

    Args:
        connect: Makes connections of a ticker's own to an address and keyspace.
        tell: Called, from any thread, when a ticker has taken the lead or the broker lost its
            schedules: they are to be looked at.
        note: Told how each fire was answered: (keyspace, answer).
    """

    def __init__(
        self,
        connect: Callable[[str, str], RedisBroker],
        tell: Callable[[], None],
        note: Callable[[str, str], None] | None = None,
    ) -> None:
        self._connect = connect
        self._tell = tell
        self._note = note
        self._threads: dict[Space, _Thread] = {}

    @property
    def spaces(self) -> set[Space]:
        """Where tickers run."""
        return {space for space, thread in self._threads.items() if thread.is_alive()}

    def want(self, spaces: Iterable[Space]) -> None:
        """Have tickers here and nowhere else; one that has ended by itself begins anew."""
        wanted = set(spaces)
        for space in [space for space in self._threads if space not in wanted]:
            self._threads.pop(space).stop()
        for space in wanted:
            thread = self._threads.get(space)
            if thread is None or not thread.is_alive():
                self._threads[space] = self._start(space)

    def _start(self, space: Space) -> _Thread:
        broker = self._connect(*space)
        keyspace = space[1]

        def on_answer(_fire: Fire, what: str, _now_ms: int) -> None:
            if self._note is not None:
                self._note(keyspace, what)

        ticker = Ticker(broker, on_lead=self._tell, on_answer=on_answer)
        thread = _Thread(broker, ticker)
        thread.start()
        return thread

    def stop(self) -> None:
        """End all of them: each gives its lead up, so that another steps in at once."""
        threads = list(self._threads.values())
        self._threads.clear()
        for thread in threads:
            thread.stop()
        ends_s = time.monotonic() + _JOIN_S
        for thread in threads:
            thread.join(max(0.0, ends_s - time.monotonic()))
