"""Windlass on its defaults: prefork, leases and fencing on, two slots."""

from __future__ import annotations

from harness.peer import Flavour, Peer, python


class WindlassPeer(Peer):
    """See the module."""

    def worker_commands(self, flavour: Flavour) -> list[list[str]]:
        """One worker with two slot processes; two workers where one is to die."""
        app = "peers.windlass_sleeps_app" if flavour.sleeps else "peers.windlass_app"
        if flavour.limits:
            app = "peers.windlass_limits_app"
        base = python("-m", "windlass", "worker", "-A", app, "-l", "WARNING")
        if flavour.sleeps:
            return [
                [*base, "-P", "asyncio", "-c", "100", "-n", f"sleeper{number}@bench"]
                for number in range(flavour.processes)
            ]
        base += ["-c", str(flavour.processes)]
        if not flavour.recovery:
            return [base]
        return [[*base, "-n", f"worker{number}@bench"] for number in range(2)]


PEER = WindlassPeer(
    name="windlass",
    client="peers.windlass_client",
    note="defaults: prefork, 2 slots, leases and fencing on",
    scenarios=frozenset(
        {
            "enqueue_one",
            "enqueue_bulk",
            "drain_ignored",
            "drain_results",
            "drain_limited",
            "sleeps",
            "start_latency",
            "idle",
            "first_task",
            "scheduled_memory",
            "lateness",
            "chain",
            "chord",
            "enqueue_group",
            "enqueue_chord",
            "recovery",
        }
    ),
    drain_count=100_000,
    send_count=5_000,
    bulk_count=50_000,
)
