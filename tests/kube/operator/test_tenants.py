"""Brokers, namespaces and Secrets: nobody reaches what is another's, nobody is held up by it."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest
import redis

from operator_process import Running, running, settings
from redis_server import RedisServer
from windlass import Windlass
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.depth import read_depths
from windlass.errors import WindlassError
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace
from windlass_operator.settings import DefaultBrokerKind

pytestmark = pytest.mark.kube

QUEUE: dict[str, Any] = {
    "apiVersion": "windlass.dev/v1alpha1", "kind": "TaskQueue", "metadata": {"name": "work"},
}  # fmt: skip


def queue(**spec: Any) -> dict[str, Any]:
    return {**QUEUE, "spec": spec}


async def _binding(operator: Running, namespace: str) -> dict[str, str]:
    body = await operator.wait_get(namespace, "secret/work-binding", lambda body: True)
    return {key: base64.b64decode(value).decode() for key, value in body["data"].items()}


async def test_two_namespaces_cannot_reach_each_other_on_the_embedded_broker(
    windlass_api: Access,
    home: Namespace,
    team: Namespace,
    other_team: Namespace,
    redis_server: RedisServer,
) -> None:
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        for one in (team, other_team):
            await operator.apply(one.name, QUEUE)
            await operator.wait_condition(one.name, "tq/work", "Ready", "AsExpected")
        mine = await _binding(operator, team.name)
        theirs = await _binding(operator, other_team.name)
    assert mine["WINDLASS_KEYSPACE"] == team.name
    assert mine["WINDLASS_BROKER_URL"] != theirs["WINDLASS_BROKER_URL"]

    # Each can send to its own queue, and sees nothing of the other's.
    for binding in (mine, theirs):
        app = Windlass("client", broker=binding["WINDLASS_BROKER_URL"],
                       keyspace=binding["WINDLASS_KEYSPACE"], set_as_current=False)  # fmt: skip
        app.send_task("any", queue="work")
        app.close()
    intruder = RedisBroker(mine["WINDLASS_BROKER_URL"], keyspace=theirs["WINDLASS_KEYSPACE"])
    with pytest.raises(WindlassError, match="ACL"):
        read_depths(intruder, ["work"])
    intruder.close()

    plain = redis.Redis.from_url(mine["WINDLASS_BROKER_URL"])
    admin = redis_server.client()
    foreign = [key for key in admin.keys("*") if other_team.name.encode() in key]
    assert foreign
    for refused in (
        lambda: plain.type(foreign[0]),
        lambda: plain.delete(foreign[0]),
        lambda: plain.keys("*"),
        lambda: plain.scan(0),
        lambda: plain.flushall(),
        lambda: plain.config_get("*"),
        lambda: plain.acl_list(),
        lambda: plain.acl_setuser("me", enabled=True, nopass=True),
        lambda: plain.eval("return redis.call('GET', ARGV[1])", 0, foreign[0]),
        lambda: plain.publish(foreign[0], "x"),
    ):
        with pytest.raises((redis.exceptions.NoPermissionError, redis.exceptions.ResponseError)):
            refused()
    assert admin.exists(foreign[0])
    plain.close()
    admin.close()


async def test_external_default_broker_is_given_to_named_namespaces_only(
    windlass_api: Access,
    home: Namespace,
    team: Namespace,
    other_team: Namespace,
    redis_server: RedisServer,
) -> None:
    wanted = settings(
        home.name,
        redis_server.url,
        default_broker_kind=DefaultBrokerKind.EXTERNAL,
        offered_namespaces=(team.name,),
    )
    async with running(windlass_api, wanted) as operator:
        for one in (home, team, other_team):
            await operator.apply(one.name, QUEUE)
        await operator.wait_condition(home.name, "tq/work", "Ready", "AsExpected")
        await operator.wait_condition(team.name, "tq/work", "Ready", "AsExpected")
        refused = await operator.wait_condition(
            other_team.name, "tq/work", "Ready", "BrokerNotOffered"
        )
        assert f"defaultBroker.namespaces: [{other_team.name}]" in refused["message"]
        assert await operator.get(other_team.name, "secret/work-binding") == {}


async def test_secret_is_used_only_when_its_owner_shares_it_and_a_rotation_is_noticed(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    admin = redis_server.client()
    admin.acl_setuser("rotated", enabled=True, passwords=["+old"], keys="*", channels="*",
                      commands=["+@all"])  # fmt: skip
    host = redis_server.url.rpartition("@")[2].removeprefix("redis://")

    def secret(password: str, labels: dict[str, str]) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "mine", "labels": labels},
            "stringData": {"url": f"redis://rotated:{password}@{host}"},
        }

    wanted = settings(home.name, "", default_broker_kind=DefaultBrokerKind.NONE)
    try:
        async with running(windlass_api, wanted) as operator:
            reference = {"secretKeyRef": {"name": "mine", "key": "url"}}
            await operator.apply(team.name, queue(broker=reference))
            await operator.wait_condition(team.name, "tq/work", "Ready", "SecretMissing")
            await operator.apply(team.name, secret("old", {}))
            said = await operator.wait_condition(team.name, "tq/work", "Ready", "SecretNotShared")
            assert "kubectl label secret mine windlass.dev/broker=allow" in said["message"]
            await operator.apply(team.name, secret("old", {"windlass.dev/broker": "allow"}))
            await operator.wait_condition(team.name, "tq/work", "Ready", "AsExpected")

            admin.acl_setuser("rotated", enabled=True, passwords=["-old", "+new"])
            admin.client_kill_filter(_type="normal", skipme=True)
            await operator.wait_condition(team.name, "tq/work", "Ready", "BrokerAuthFailed")
            await operator.apply(team.name, secret("new", {"windlass.dev/broker": "allow"}))
            await operator.wait_condition(team.name, "tq/work", "Ready", "AsExpected")
    finally:
        admin.acl_deluser("rotated")
        admin.close()


async def test_namespace_goes_while_the_broker_is_down(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    dead = {"url": "redis://127.0.0.1:1/0"}
    wanted = settings(home.name, redis_server.url, broker_timeout_s=0.5)
    async with running(windlass_api, wanted) as operator:
        await operator.apply(team.name, queue(broker=dead, deletionPolicy="Purge"))
        body = await operator.wait_get(
            team.name, "tq/work", lambda body: bool(body["metadata"].get("finalizers"))
        )
        assert body["metadata"]["finalizers"] == ["windlass.dev/cleanup"]
        began_s = time.monotonic()
        await operator.kubectl("delete", "namespace", team.name, "--timeout=120s")
        took_s = time.monotonic() - began_s

    assert took_s < 90


async def test_purge_deletes_what_waits_and_retain_does_not(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    app = Windlass("client", broker=redis_server.url, keyspace=team.name, set_as_current=False)
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        for policy, left in (("Retain", 3), ("Purge", 0)):
            await operator.apply(team.name, queue(deletionPolicy=policy))
            await operator.wait_condition(team.name, "tq/work", "Ready", "AsExpected")
            app.broker.purge("work")
            for _ in range(3):
                app.send_task("any", queue="work")
            await operator.kubectl("delete", "tq/work", f"--namespace={team.name}", "--timeout=30s")
            (depth,) = read_depths(app.broker, ["work"])
            assert depth.backlog == left, policy
    app.close()


async def test_settings_of_a_queue_reach_the_broker_and_restart_nobody(
    windlass_api: Access, home: Namespace, team: Namespace, redis_server: RedisServer
) -> None:
    from windlass.control_plane.queue_record import read_record

    pool = {
        **QUEUE,
        "kind": "WorkerPool",
        "spec": {"app": "a", "image": "i", "queues": [{"name": "work"}], "replicas": 1},
    }
    broker = RedisBroker(redis_server.url, keyspace=team.name)
    async with running(windlass_api, settings(home.name, redis_server.url)) as operator:
        await operator.apply(team.name, queue(maxDeliveries=4), pool)
        before = await operator.wait_get(
            team.name, "deployment/work", lambda body: body["status"].get("replicas") == 1
        )
        assert read_record(broker, "work").max_deliveries == 4
        await operator.apply(team.name, queue(maxDeliveries=7, paused=True))
        await operator.wait_condition(team.name, "tq/work", "Paused", "PausedByUser")
        await operator.ticks(2)
        record = read_record(broker, "work")
        after = await operator.get(team.name, "deployment/work")
    broker.close()

    assert (record.max_deliveries, record.paused) == (7, True)
    assert after["spec"]["template"] == before["spec"]["template"]
