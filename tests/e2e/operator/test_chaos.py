"""The main job while workers, a node, the operator and Redis fail: nothing is lost."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

import pytest

from killing import kill_process_one
from main_job import DONE_S, QUEUE, TASKS, at_rest, start, wait_for
from operator_release import Application, Release
from windlass_cluster.access import Access
from windlass_cluster.draining import drained
from windlass_cluster.providers import Provider

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@dataclass(frozen=True, slots=True)
class Misfortunes:
    """What goes wrong, one after the other."""

    release: Release
    application: Application
    python_image: str

    def kill_a_worker(self) -> None:
        victim = next(
            one for one in self.application.workers(QUEUE) if one["status"]["phase"] == "Running"
        )
        kill_process_one(self.application.namespace, victim, self.python_image)

    def kill_the_operator(self) -> None:
        self._kill(f"pod/{self.release.leader()}")

    def restart_redis(self) -> None:
        self._kill(f"pod/{self.release.fullname}-redis-0")

    def _kill(self, pod: str) -> None:
        space = self.release.namespace
        kill_process_one(space, space.get(pod), self.python_image)

    def take_the_redis_pod_away(self) -> None:
        """With its container's file system: what is there afterwards was on the volume."""
        name, space = f"pod/{self.release.fullname}-redis-0", self.release.namespace
        before = space.get(name)["metadata"]["uid"]
        space.kubectl("delete", name, "--grace-period=1")
        space.wait(name, until="create", timeout_s=60)
        space.wait(name, until="condition=Ready", timeout_s=90)
        assert space.get(name)["metadata"]["uid"] != before


def test_nothing_is_lost_while_workers_nodes_operator_and_redis_fail(
    cluster: Access,
    cluster_provider: Provider,
    operator_release: Release,
    application: Application,
) -> None:
    if len(cluster.get("nodes")["items"]) < 2:
        pytest.skip("this cluster has one node")
    (claim,) = operator_release.namespace.get("persistentvolumeclaims")["items"]
    assert claim["status"]["phase"] == "Bound", "the Redis has no volume of its own"
    fate = Misfortunes(operator_release, application, cluster_provider.python_image())
    start(application)
    for count, strike in (
        (100, fate.kill_a_worker), (300, fate.kill_the_operator), (600, fate.restart_redis),
        (900, fate.take_the_redis_pod_away),
    ):  # fmt: skip
        wait_for(application, count)
        strike()
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
