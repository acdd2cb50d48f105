"""taskiq with taskiq-redis: two worker processes, asyncio inside each.

What is set, and why:

- `--workers 2`, `--max-async-tasks 100` (the default).
- Tasks are `async def`: a sync task goes through a thread pool and is slower.
- The stream broker where a task must survive a crash, the list broker elsewhere: whichever is
  faster without that promise (see BENCH_TASKIQ_BROKER in `peers.taskiq_app`).
- `--no-parse`: arguments are ints already; log level WARNING.
- Results: RedisAsyncResultBackend with an expiry of a day, or none.
"""

from __future__ import annotations

from harness.peer import Flavour, Peer, python


class TaskiqPeer(Peer):
    """See the module."""

    def worker_commands(self, flavour: Flavour) -> list[list[str]]:
        """One command with two processes; two of them where one is to die."""
        command = python("-m", "taskiq", "worker", "peers.taskiq_app:broker")
        command += ["--workers", str(flavour.processes), "--max-async-tasks", "100"]
        command += ["--no-parse", "--log-level", "WARNING", "--shutdown-timeout", "1"]
        return [command] * (2 if flavour.recovery else 1)


PEER = TaskiqPeer(
    name="taskiq",
    client="peers.taskiq_client",
    note="taskiq-redis, 2 workers, async tasks, 100 at a time, --no-parse",
    scenarios=frozenset(
        {
            "enqueue_one",
            "enqueue_bulk",
            "drain_ignored",
            "drain_results",
            "sleeps",
            "start_latency",
            "idle",
            "first_task",
            "recovery",
        }
    ),
    drain_count=8_000,
    send_count=2_000,
    bulk_count=8_000,
)
