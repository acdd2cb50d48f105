"""The bare loop: the least that a worker on Redis can do, so that overhead has a zero point.

Two processes; each pops batches of 100, decodes with msgspec, calls the function, and in one Lua
call acknowledges the batch, stores its results and pops the next. No leases, no fencing, no
retries, no limits. Its client is redis-py with hiredis: LPUSH of a message as long as Windlass'.
"""

from __future__ import annotations

from harness.peer import Flavour, Peer, python


class BareLoop(Peer):
    """See the module."""

    def worker_commands(self, flavour: Flavour) -> list[list[str]]:
        """One command; it forks the processes."""
        return [python("-m", "peers.bare_worker", str(flavour.processes))]


PEER = BareLoop(
    name="bare",
    client="peers.bare_client",
    note="batches of 100, msgspec, one Lua call a batch; LPUSH by redis-py with hiredis",
    scenarios=frozenset({"enqueue_one", "enqueue_bulk", "drain_ignored", "drain_results"}),
    drain_count=300_000,
    send_count=5_000,
    bulk_count=100_000,
)
