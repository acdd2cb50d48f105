"""BeatSchedules on a real API server and Redis: entries, status, triggers, suspension, deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from operator_process import Running, condition, reason_of, running, settings
from redis_server import RedisServer
from windlass.beat.entry import make_entry
from windlass.beat.record import Schedule
from windlass.beat.timing import Every
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.control_plane.schedules import put_schedule, read_schedules
from windlass.redis_store.resp import packed
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

API = "windlass.dev/v1alpha1"
QUEUE = {"apiVersion": API, "kind": "TaskQueue", "metadata": {"name": "work"}}


def schedule(name: str = "nightly", *, trigger: str = "", **spec: Any) -> dict[str, Any]:
    fields = {"task": "job.report", "queueRef": {"name": "work"}, **spec}
    if "schedule" not in fields:
        fields.setdefault("every", "1s")
    annotations = {"windlass.dev/trigger": trigger} if trigger else {}
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": API, "kind": "BeatSchedule", "metadata": metadata, "spec": fields}


class Broker:
    """What a namespace's keyspace holds, read by the test itself."""

    def __init__(self, server: RedisServer, namespace: str) -> None:
        self.broker = RedisBroker(server.url, keyspace=namespace)

    def entry(self, name: str = "nightly") -> Schedule | None:
        found = read_schedules(self.broker, [name])
        return found[0] if found else None

    def sent(self) -> list[str]:
        return sorted(self.broker.links.call([packed("HKEYS", self.broker.keys.messages)])[0])

    async def wait(self, is_it: Callable[[], bool], timeout_s: float = 20) -> None:
        async with asyncio.timeout(timeout_s):
            while not await asyncio.to_thread(is_it):
                await asyncio.sleep(0.05)


async def test_schedule_is_entered_fired_and_told_of(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule(args=[1], kwargs={"full": True}))
        await broker.wait(lambda: len(broker.sent()) >= 3)
        body = await operator.wait_get(
            team.name, "bs/nightly", lambda body: body.get("status", {}).get("fired", 0) >= 1
        )
        table = await operator.kubectl("get", "bs", f"--namespace={team.name}")

    status, uid = body["status"], body["metadata"]["uid"]
    entry = broker.entry()
    assert entry is not None
    assert (entry.entry.owner, entry.uid) == (f"kubernetes:{uid}", uid)
    assert entry.entry.body == b'[[1],{"full":true},{}]'
    assert entry.fired == len(broker.sent())
    assert reason_of(body, "Ready") == "AsExpected"
    assert status["schedule"] == "every 1s"
    assert status["queueName"] == "work"
    assert {"active", "nextScheduleTime", "lastScheduleTime", "missed"} <= set(status)
    assert table.split()[:8] == [
        "NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST", "NEXT", "AGE",
    ]  # fmt: skip
    assert "<invalid>" not in table
