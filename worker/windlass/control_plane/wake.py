"""Being told when work comes to queues that have no worker: what takes a pool from zero at once."""

from __future__ import annotations

from collections.abc import Sequence

from windlass.redis_store.connection import Links
from windlass.redis_store.keys import Keys
from windlass.redis_store.resp import packed
from windlass.redis_store.waiting import WakeLink

#: Marks of waiting live a little longer than a wait.
_MARGIN_MS = 2_000


class WorkListener:
    """Waits as an idle worker does, for queues that nobody else waits on. For one thread."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._wake = WakeLink(links)

    def wait(self, queues: Sequence[tuple[str, str]], timeout_s: float) -> None:
        """Return when something is sent to one of the queues, or after the time-out.

        Args:
            queues: (keyspace, queue) pairs.
            timeout_s: Seconds, 5 at most.

        Raises:
            OperationalError: The broker cannot be reached.
        """
        tables = [Keys(keyspace).queue(queue) for keyspace, queue in queues]
        lifetime_ms = int(timeout_s * 1000) + _MARGIN_MS
        marks = [packed("SET", q.idle, "1", "PX", lifetime_ms) for q in tables]
        self._links.call(marks)
        self._wake.wait_and_call([q.wake for q in tables], timeout_s, packed("PING"))

    def close(self) -> None:
        """Close the connections."""
        self._wake.close()
