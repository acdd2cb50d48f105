"""The main job, end to end: work comes, workers come, all of it is done once, and workers go."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from killing import kill_process_one
from operator_release import EXAMPLES, Application, Release
from windlass_cluster.access import Access
from windlass_cluster.commands import wait_until
from windlass_cluster.draining import drained
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e

_TASKS = 2_000
_SECONDS = 0.1
_MOST = 6
_QUEUE = "pictures"
#: The quickstart's file, with our tasks, more workers, and one slot each: many pods, whatever
#: the machine.
_CHANGES: dict[str, dict[str, Any]] = {
    "WorkerPool": {"app": "job", "concurrency": 1, "autoscaling": {"maxReplicas": _MOST}}
}
_SENDER = f"""
    import json, sys, time
    from job import work

    results = work.send_many([({_SECONDS},)] * {_TASKS}, queue="{_QUEUE}")
    print("SENT", len(results), flush=True)
    got = []
    for result in results:
        got.append(result.get(timeout=240))
        if len(got) % 100 == 0:
            print("GOT", len(got), flush=True)
    print("SAID", json.dumps(got), flush=True)
"""
_DONE_S = 300


def _start(application: Application) -> None:
    application.apply_file(EXAMPLES / "01-quickstart" / "queue.yaml", _CHANGES)
    application.namespace.wait(f"taskqueue/{_QUEUE}", until="condition=Ready", timeout_s=60)
    application.wait_condition(f"workerpool/{_QUEUE}", "Ready", "ScaledToZero")
    assert application.workers(_QUEUE) == []
    application.start("sender", _SENDER, queue=_QUEUE)


def _progress(application: Application) -> int:
    said = [line for line in application.lines("sender") if line.startswith("GOT ")]
    return int(said[-1].split()[1]) if said else 0


def _wait_for(application: Application, count: int) -> None:
    wait_until(lambda: _progress(application) >= count, f"{count} results", timeout_s=_DONE_S)


def _at_rest(application: Application) -> None:
    """No work: no worker, and the pool says so."""
    application.wait_replicas(_QUEUE, 0, timeout_s=150)
    application.wait_condition(f"workerpool/{_QUEUE}", "Ready", "ScaledToZero")
    queue = application.namespace.get(f"taskqueue/{_QUEUE}")["status"]
    assert {key: queue.get(key, 0) for key in ("backlog", "running", "dead", "parked")} == {
        "backlog": 0, "running": 0, "dead": 0, "parked": 0,
    }  # fmt: skip


def test_workers_come_for_a_burst_and_go_again_and_none_is_stopped_at_work(
    operator_release: Release, application: Application
) -> None:
    _start(application)
    most = 0

    def is_done() -> bool:
        nonlocal most
        most = max(most, len(application.workers(_QUEUE)))
        return any(line.startswith("SAID ") for line in application.lines("sender"))

    wait_until(is_done, "all results", timeout_s=_DONE_S)
    answers = application.answer("sender", timeout_s=60)
    _at_rest(application)

    assert len(answers) == _TASKS
    assert most == _MOST
    # Nobody was killed or told to go while it ran a task: each ran once, nothing was handed back.
    assert Counter((deliveries, handbacks) for _, deliveries, handbacks in answers) == {
        (0, 0): _TASKS
    }
    assert application.events("ScaleDownWrongVictim") == []
    assert {event["reason"] for event in application.namespace.get("events")["items"]} >= {
        "ScaledUp", "ScaledToZero",
    }  # fmt: skip


def test_nothing_is_lost_while_workers_nodes_operator_and_redis_fail(
    cluster: Access,
    cluster_provider: Provider,
    operator_release: Release,
    application: Application,
) -> None:
    if len(cluster.get("nodes")["items"]) < 2:
        pytest.skip("this cluster has one node")
    python = cluster_provider.python_image()
    _start(application)

    def kill_a_worker() -> None:
        victim = next(
            one for one in application.workers(_QUEUE) if one["status"]["phase"] == "Running"
        )
        kill_process_one(application.namespace, victim, python)

    def kill_the_operator() -> None:
        leader = operator_release.leader()
        body = operator_release.namespace.get(f"pod/{leader}")
        kill_process_one(operator_release.namespace, body, python)

    def restart_redis() -> None:
        name = f"{operator_release.fullname}-redis-0"
        body = operator_release.namespace.get(f"pod/{name}")
        kill_process_one(operator_release.namespace, body, python)

    misfortunes: list[tuple[int, Callable[[], None]]] = [
        (100, kill_a_worker), (300, kill_the_operator), (600, restart_redis),
    ]  # fmt: skip
    for count, misfortune in misfortunes:
        _wait_for(application, count)
        misfortune()
    _wait_for(application, 800)
    node = next(
        one["spec"]["nodeName"]
        for one in application.workers(_QUEUE)
        if one["spec"].get("nodeName")
    )
    selector = f"windlass.dev/pool={_QUEUE}"
    with drained(cluster, node, selector=selector, namespace=application.namespace.name):
        answers = application.answer("sender", timeout_s=_DONE_S)
    _at_rest(application)

    assert len(answers) == _TASKS
    assert sum(deliveries for _, deliveries, _ in answers) >= 1, "the killed worker ran nothing"
    print(json.dumps(Counter(f"{d} deliveries, {h} handbacks" for _, d, h in answers)))
