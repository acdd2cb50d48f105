"""The main job while workers, a node, the operator and Redis fail: nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable

import pytest

from killing import kill_process_one
from main_job import DONE_S, QUEUE, TASKS, at_rest, start, wait_for
from operator_release import Application, Release
from windlass_cluster.access import Access
from windlass_cluster.draining import drained
from windlass_cluster.providers import Provider

pytestmark = pytest.mark.e2e


def test_nothing_is_lost_while_workers_nodes_operator_and_redis_fail(
    cluster: Access,
    cluster_provider: Provider,
    operator_release: Release,
    application: Application,
) -> None:
    if len(cluster.get("nodes")["items"]) < 2:
        pytest.skip("this cluster has one node")
    python = cluster_provider.python_image()
    (claim,) = operator_release.namespace.get("persistentvolumeclaims")["items"]
    assert claim["status"]["phase"] == "Bound", "the Redis has no volume of its own"
    start(application)

    def kill_a_worker() -> None:
        victim = next(
            one for one in application.workers(QUEUE) if one["status"]["phase"] == "Running"
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

    def take_the_redis_pod_away() -> None:
        # With its container's file system: what is there afterwards was on the volume.
        name = f"pod/{operator_release.fullname}-redis-0"
        before = operator_release.namespace.get(name)["metadata"]["uid"]
        operator_release.namespace.kubectl("delete", name, "--grace-period=1")
        operator_release.namespace.wait(name, until="create", timeout_s=60)
        operator_release.namespace.wait(name, until="condition=Ready", timeout_s=90)
        assert operator_release.namespace.get(name)["metadata"]["uid"] != before

    misfortunes: list[tuple[int, Callable[[], None]]] = [
        (100, kill_a_worker), (300, kill_the_operator), (600, restart_redis),
        (900, take_the_redis_pod_away),
    ]  # fmt: skip
    for count, misfortune in misfortunes:
        wait_for(application, count)
        misfortune()
    wait_for(application, 1_100)
    node = next(
        one["spec"]["nodeName"] for one in application.workers(QUEUE) if one["spec"].get("nodeName")
    )
    selector = f"windlass.dev/pool={QUEUE}"
    with drained(cluster, node, selector=selector, namespace=application.namespace.name):
        answers = application.answer("sender", timeout_s=DONE_S)
    at_rest(application)

    assert len(answers) == TASKS
    assert sum(deliveries for _, deliveries, _ in answers) >= 1, "the killed worker ran nothing"
    print(json.dumps(Counter(f"{d} deliveries, {h} handbacks" for _, d, h in answers)))
