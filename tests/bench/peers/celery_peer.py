"""Celery prefork with the tuning that its documentation gives for many short tasks.

What is set, and why:

- `-P prefork -c 2`: as many processes as every other system here gets.
- `-O fair` is the default since 4.0 and was not slower than `-O default` here. It hands a task to
  a child only when the child is free.
- `worker_prefetch_multiplier` 64: the optimizing guide says 64 or 128 for many short tasks (the
  default is 4). 128 measured the same.
- Early acknowledgement (the default, the fastest): a crash loses the tasks that were running.
- `--without-gossip --without-mingle --without-heartbeat`, no events (the default), remote control
  off: no chatter beside the work.
- `ignore_result=True` where results are not asked for; else the Redis result backend.
- hiredis is installed, so kombu's redis-py uses it. `broker_pool_limit` 1: one sending thread.
- `task_publish_retry=False`, `worker_redirect_stdouts=False`, `worker_hijack_root_logger=False`,
  log level WARNING: no work that is not asked for.
"""

from __future__ import annotations

from harness.peer import Flavour, Peer, python

_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")


class CeleryPeer(Peer):
    """See the module."""

    def worker_commands(self, flavour: Flavour) -> list[list[str]]:
        """One worker with two processes; two with one each where one of them is to die."""
        base = python("-m", "celery", "-A", "peers.celery_app", "worker", *_QUIET, "-O", "fair")
        if not flavour.recovery:
            return [[*base, "-P", "prefork", "-c", str(flavour.processes)]]
        return [
            [*base, "-P", "prefork", "-c", str(flavour.processes), "-n", f"worker{number}@bench"]
            for number in range(2)
        ]


PEER = CeleryPeer(
    name="celery",
    client="peers.celery_client",
    note="prefork, 2 processes, -O fair, prefetch 64, early acks, no gossip, mingle, heartbeat",
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
            "lateness",
            "chain",
            "chord",
            "recovery",
        }
    ),
    drain_count=2_000,
    send_count=1_000,
    bulk_count=2_000,
)
