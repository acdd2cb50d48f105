"""BeatSchedules on a real API server and Redis: entries, status, triggers, suspension, deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from operator_process import Running, reason_of, running, settings
from redis_server import RedisServer
from windlass.beat.entry import make_entry
from windlass.beat.record import Schedule
from windlass.beat.timing import Every
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.schedules import pause_schedule, put_schedule, read_schedules
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


async def test_record_that_is_no_schedule_is_said_of_that_one_and_the_others_go_on(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule(every="1d"), schedule("pulse"))
        for name in ("nightly", "pulse"):
            await operator.wait_condition(team.name, f"bs/{name}", "Ready", "AsExpected")
        key = broker.broker.keys.schedule("nightly")
        broker.broker.links.call([packed("DEL", key), packed("SET", key, "mine")])

        said = await operator.wait_condition(team.name, "bs/nightly", "Ready", "ScheduleUnreadable")
        before = await operator.get(team.name, "bs/pulse")
        fired = before["status"].get("fired", 0)
        after = await operator.wait_get(
            team.name, "bs/pulse", lambda body: body["status"].get("fired", 0) > fired
        )

    assert "`windlass schedules remove`" in said["message"]
    assert reason_of(after, "Ready") == "AsExpected"


async def test_any_new_value_of_the_annotation_fires_once_also_while_it_is_suspended(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    body = schedule(every="1d", suspend=True, trigger="one")

    async def told(value: str) -> dict[str, Any]:
        return await operator.wait_get(
            team.name, "bs/nightly", lambda body: body["status"].get("lastTrigger") == value
        )

    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, body)
        await operator.wait_get(team.name, "bs/nightly", lambda body: "status" in body)
        first = await told("one")
        await operator.ticks(3)
        assert len(broker.sent()) == 1
        await operator.kubectl("annotate", "bs/nightly", "windlass.dev/trigger=two", "--overwrite",
                               f"--namespace={team.name}")  # fmt: skip
        second = await told("two")
    # Another process of the operator, which remembers nothing.
    async with running(windlass_api, wanted) as operator:
        await operator.ticks(3)
        events = await events_of(operator, team.name)

    assert len(broker.sent()) == 2
    assert (first["status"]["triggered"], second["status"]["triggered"]) == (1, 2)
    assert "nextScheduleTime" not in second["status"]
    assert reason_of(second, "Suspended") == "SuspendedByUser"
    assert events.count("ScheduleTriggered") == 2


async def events_of(operator: Running, namespace: str) -> list[str]:
    """Reasons of all events in a namespace."""
    said = await operator.kubectl(
        "get", "events", f"--namespace={namespace}", "-o", "jsonpath={.items[*].reason}"
    )
    return said.split()


async def test_suspended_schedule_fires_no_more_and_goes_on_from_then_on(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule())
        await broker.wait(lambda: len(broker.sent()) >= 1)
        await operator.apply(team.name, schedule(suspend=True))
        await broker.wait(lambda: (entry := broker.entry()) is not None and entry.is_paused)
        before = len(broker.sent())
        await operator.ticks(5)
        assert len(broker.sent()) == before

        await operator.apply(team.name, schedule(suspend=False))
        await broker.wait(lambda: len(broker.sent()) > before)
        # What somebody pauses on the broker is the spec's to decide.
        await asyncio.to_thread(pause_schedule, broker.broker, "nightly")
        await broker.wait(lambda: (entry := broker.entry()) is not None and not entry.is_paused)


async def test_nothing_is_written_about_a_schedule_of_which_nothing_changed(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule(schedule="0 0 1 1 *"))
        await operator.wait_get(
            team.name, "bs/nightly", lambda body: "nextScheduleTime" in body.get("status", {})
        )
        await operator.ticks(3)
        before, generation = operator.writes(), broker.entry()
        await operator.ticks(10)

        assert operator.writes() == before
        assert broker.entry() == generation


async def test_statuses_of_a_schedule_of_each_second_are_few(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule())
        await broker.wait(lambda: len(broker.sent()) >= 6)
        writes = operator.writes()[("patch", "beatschedules/status")]

    assert writes <= 3


@pytest.mark.parametrize(
    ("changes", "reason", "word"),
    [
        ({"schedule": "99 3 * * *"}, "InvalidSpec", "Expected numbers from 0 to 59"),
        ({"schedule": "0 3 * * *", "timeZone": "Europe/Pariss"}, "InvalidSpec", "is not known"),
        ({"queueRef": {"name": "nowhere"}}, "QueueNotDeclared", "'nowhere'"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_in_the_condition(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    changes: dict[str, Any], reason: str, word: str,
) -> None:  # fmt: skip
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule(**changes))
        said = await operator.wait_condition(team.name, "bs/nightly", "Ready", reason)
        assert said["status"] == "False"
        assert word in said["message"]

        await operator.kubectl("delete", "bs/nightly", "--timeout=20s", f"--namespace={team.name}")


async def test_name_that_an_application_has_is_left_alone(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    theirs = make_entry("nightly", Every(86_400_000), "theirs", queue="work", owner="settings:shop")
    put_schedule(broker.broker, theirs)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule())
        said = await operator.wait_condition(
            team.name, "bs/nightly", "Ready", "ScheduleNameConflict"
        )
        await operator.kubectl("delete", "bs/nightly", "--timeout=20s", f"--namespace={team.name}")

    assert "settings:shop" in said["message"]
    entry = broker.entry()
    assert entry is not None
    assert entry.entry == theirs


async def test_entry_goes_with_its_object_even_after_its_queue(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule())
        await broker.wait(lambda: len(broker.sent()) >= 1)
        await operator.kubectl("delete", "tq/work", f"--namespace={team.name}")
        await operator.wait_condition(team.name, "bs/nightly", "Ready", "QueueNotDeclared")
        await broker.wait(lambda: (entry := broker.entry()) is not None and entry.is_paused)
        await operator.kubectl("delete", "bs/nightly", "--timeout=20s", f"--namespace={team.name}")

    assert broker.entry() is None


async def test_broker_that_is_down_holds_no_namespace_and_is_cleaned_when_it_is_back(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("windlass_operator.reduce_schedule.CLEANUP_S", 3.0)
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,),
                      broker_timeout_s=0.5)  # fmt: skip
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, schedule(schedule="0 3 * * *"))
        await broker.wait(lambda: broker.entry() is not None)
        redis_server.pause()
        try:
            await operator.wait_condition(team.name, "bs/nightly", "Ready", "BrokerUnreachable")
            await operator.kubectl(
                "delete", "bs/nightly", "--timeout=40s", f"--namespace={team.name}"
            )
            assert "CleanupAbandoned" in await events_of(operator, team.name)
        finally:
            redis_server.resume()
        await broker.wait(lambda: broker.entry() is None)


async def test_time_to_come_counts_as_work_to_come_of_its_queue(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    pool = {
        "apiVersion": API, "kind": "WorkerPool", "metadata": {"name": "work"},
        "spec": {"app": "job", "image": "example/job:1", "queues": [{"name": "work"}],
                 "autoscaling": {"minReplicas": 0, "maxReplicas": 3, "wakeHorizon": "30s"}},
    }  # fmt: skip
    broker = Broker(redis_server, team.name)
    wanted = settings(home.name, redis_server.url, watch_namespaces=(team.name,))
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, QUEUE, pool, schedule(every="36s"))
        asleep = await operator.wait_get(
            team.name, "wp/work", lambda body: reason_of(body, "Ready") == "ScaledToZero"
        )
        assert asleep["status"]["desiredReplicas"] == 0
        await operator.wait_get(
            team.name, "wp/work", lambda body: body["status"]["desiredReplicas"] == 1
        )
        assert broker.sent() == [], "it was woken by the message only"
