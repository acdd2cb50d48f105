"""The main job: the quickstart's pool, a pod that sends, and what is to be true at the end."""

from __future__ import annotations

from typing import Any

from operator_release import EXAMPLES, Application
from windlass_cluster.commands import wait_until

TASKS = 2_000
_SECONDS = 0.1
MOST = 6
QUEUE = "pictures"
#: The quickstart's file, with our tasks, more workers, and one slot each: many pods, whatever
#: the machine.
_CHANGES: dict[str, dict[str, Any]] = {
    "WorkerPool": {"app": "job", "concurrency": 1, "autoscaling": {"maxReplicas": MOST}}
}
_SENDER = f"""
    import json, sys, time
    from job import work

    results = work.send_many([({_SECONDS},)] * {TASKS}, queue="{QUEUE}")
    print("SENT", len(results), flush=True)
    got = []
    for result in results:
        got.append(result.get(timeout=240))
        if len(got) % 100 == 0:
            print("GOT", len(got), flush=True)
    print("SAID", json.dumps(got), flush=True)
"""
DONE_S = 300


def start(application: Application) -> None:
    """Apply the quickstart's file, and start the pod that sends everything and waits for it."""
    application.apply_file(EXAMPLES / "01-quickstart" / "queue.yaml", _CHANGES)
    application.namespace.wait(f"taskqueue/{QUEUE}", until="condition=Ready", timeout_s=60)
    application.wait_condition(f"workerpool/{QUEUE}", "Ready", "ScaledToZero")
    assert application.workers(QUEUE) == []
    application.start("sender", _SENDER, queue=QUEUE)


def _progress(application: Application) -> int:
    said = [line for line in application.lines("sender") if line.startswith("GOT ")]
    return int(said[-1].split()[1]) if said else 0


def wait_for(application: Application, count: int) -> None:
    """Wait until the sender has so many results."""
    wait_until(lambda: _progress(application) >= count, f"{count} results", timeout_s=DONE_S)


def at_rest(application: Application) -> None:
    """No work: no worker, and the pool says so."""
    application.wait_replicas(QUEUE, 0, timeout_s=150)
    application.wait_condition(f"workerpool/{QUEUE}", "Ready", "ScaledToZero")
    # The numbers of a queue's status are written less often than a condition changes.
    numbers = ("backlog", "running", "dead", "parked")

    def is_empty() -> bool:
        status = application.namespace.get(f"taskqueue/{QUEUE}")["status"]
        return not any(status.get(number, 0) for number in numbers)

    wait_until(is_empty, "a queue without work", timeout_s=60)
