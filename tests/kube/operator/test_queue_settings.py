"""What a TaskQueue sets reaches the queue record; what is set aside shows on it, and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from broker_state import lease, settle
from operator_process import reason_of, running, settings
from redis_server import RedisServer
from windlass.brokers.base import Bury, Park
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.heartbeats import WorkerStatus, beat
from windlass.control_plane.queue_record import QueueRecord, read_record
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator import parked_trial

pytestmark = pytest.mark.kube

API = "windlass.dev/v1alpha1"
NEW = "job.new"


def queue(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": API, "kind": "TaskQueue", "metadata": {"name": "work"}, "spec": spec}


def pool(**spec: Any) -> dict[str, Any]:
    scaling = {"minReplicas": 0, "maxReplicas": 3,
               "scaleDown": {"window": "0s", "toZeroAfter": "0s"}}  # fmt: skip
    fields = {
        "app": "job", "image": "example/job:1", "queues": [{"name": "work"}],
        "autoscaling": scaling, **spec,
    }  # fmt: skip
    return {**queue(), "kind": "WorkerPool", "spec": fields}


@pytest.fixture
def broker(redis_server: RedisServer, team: Namespace) -> Iterator[RedisBroker]:
    """The team's keyspace, as a worker of it sees it."""
    broker = RedisBroker(redis_server.url, keyspace=team.name)
    yield broker
    broker.close()


def park(broker: RedisBroker, *ids: str, task: str = NEW) -> None:
    for one in lease(broker, *ids, queue="work"):
        settle(broker, Park(id=one.id, queue="work", token=one.token, task=task))


def bury(broker: RedisBroker, reason: str, *ids: str) -> None:
    for one in lease(broker, *ids, queue="work"):
        settle(broker, Bury(id=one.id, queue="work", token=one.token, reason=reason, detail="",
                            worker="w"))  # fmt: skip


async def becomes(is_it: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(is_it):
            await asyncio.sleep(0.1)


async def test_limits_and_dead_letter_policies_reach_the_record_and_leave_it(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    broker: RedisBroker,
) -> None:  # fmt: skip
    def record() -> Mapping[str, Any]:
        kept = read_record(broker, "work")
        return {name: getattr(kept, name) for name in QueueRecord.__struct_fields__[:-1]}

    policies = {"retention": "1d", "parkedAfter": "2h", "expired": True, "failed": True}
    full = queue(rateLimit="30/m", maxConcurrency=7, maxDeliveries=9, deadLetter=policies)
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, full)
        await becomes(lambda: record()["max_concurrency"] == 7)
        set_ = record()
        await operator.apply(team.name, queue())
        await becomes(lambda: record()["max_concurrency"] is None)
        left = record()

    assert set_ == {
        "paused": False, "max_deliveries": 9, "dead_retention_s": 86_400, "park_limit_s": 7200,
        "dead_expired": True, "dead_failed": True, "rate_limit": "30/m", "max_concurrency": 7,
    }  # fmt: skip
    assert (left["rate_limit"], left["park_limit_s"], left["dead_failed"]) == (None, 0, False)


async def test_no_capable_worker_appears_with_its_tasks_and_goes(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    broker: RedisBroker,
) -> None:  # fmt: skip
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, queue())
        await operator.wait_condition(team.name, "tq/work", "Degraded", "AsExpected")
        park(broker, "a", "b")
        said = await operator.wait_condition(team.name, "tq/work", "Degraded", "NoCapableWorker")
        broker.unpark("work", [NEW])
        gone = await operator.wait_condition(team.name, "tq/work", "Degraded", "AsExpected")

    assert said["status"] == "True"
    assert f"2 message(s) are of tasks that no worker knows: {NEW} (2)." in said["message"]
    assert gone["status"] == "False"


async def test_parked_work_starts_a_pool_at_zero_once_for_each_template(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    broker: RedisBroker, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(parked_trial, "TRY_S", 0.5)

    def replicas(count: int) -> Callable[[dict[str, Any]], bool]:
        return lambda body: body["spec"]["replicas"] == count

    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, queue(), pool())
        await operator.wait_get(team.name, "deployment/work", replicas(0))
        park(broker, "a")
        await operator.wait_get(team.name, "deployment/work", replicas(1))
        # A worker of it comes up, meets what is parked, and does not know it.
        listed = await operator.kubectl(
            "get", "pods", "-o", "jsonpath={.items[*].metadata.name}", f"--namespace={team.name}"
        )
        status = WorkerStatus(worker_id="w", hostname=f"windlass@{listed.split()[0]}",
                              queues=["work"], slots=1)  # fmt: skip
        beat(broker, status, 600_000)
        told = await operator.wait_get(
            team.name, "wp/work", lambda body: body["status"].get("unknownTasks") == [NEW], 60
        )
        wanted = told["status"]["scaling"]["message"]
        beat(broker, status, 0)
        await operator.apply(team.name, pool(image="example/job:2"))
        again = await operator.wait_get(
            team.name,
            "wp/work",
            lambda body: (
                "may know" in body["status"]["scaling"]["message"]
                and "unknownTasks" not in body["status"]
            ),
            60,
        )

    assert "1 parked that this template does not know" in wanted
    assert "work wants 0" in wanted
    assert "work wants 1" in again["status"]["scaling"]["message"]


async def test_dead_letters_are_counted_by_reason_and_are_one_event(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    broker: RedisBroker,
) -> None:  # fmt: skip
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, queue())
        await operator.wait_get(team.name, "tq/work", lambda body: reason_of(body, "Ready") != "")
        await operator.wait_get(team.name, "tq/work", lambda body: body["status"].get("dead") == 0)
        bury(broker, "rejected", "a", "b")
        bury(broker, "undecodable", "c")
        body = await operator.wait_get(
            team.name, "tq/work", lambda body: len(body["status"].get("deadLetters", ())) == 2
        )
        said = await operator.kubectl(
            "get", "events", "-o", "jsonpath={range .items[*]}{.reason} {.message}{'\\n'}{end}",
            f"--namespace={team.name}",
        )  # fmt: skip

    assert body["status"]["deadLetters"] == [
        {"reason": "rejected", "count": 2},
        {"reason": "undecodable", "count": 1},
    ]
    assert "DeadLettered New dead letters: " in said
    assert "rejected (2 now)" in said
