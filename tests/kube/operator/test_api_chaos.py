"""The API server has a bad day: the operator gets over it, loses nothing, and never runs hot."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos_proxy import ChaosProxy
from operator_process import Running, running, settings
from redis_server import RedisServer
from waiting import aeventually
from windlass_cluster.access import Access
from windlass_cluster.namespace import Namespace

pytestmark = pytest.mark.kube

_API = "windlass.dev/v1alpha1"
_QUEUE: dict[str, Any] = {"apiVersion": _API, "kind": "TaskQueue", "metadata": {"name": "work"}}
#: More than this many requests a second to one address is a hot loop.
_HOT = 5.0


def _pool(name: str, replicas: int) -> dict[str, Any]:
    fields = {"app": "job", "image": "example/job:1", "queues": [{"name": "work"}]}
    return {**_QUEUE, "kind": "WorkerPool", "metadata": {"name": name},
            "spec": {**fields, "replicas": replicas}}  # fmt: skip


class BadDay:
    """An operator behind a proxy, with a pool that is settled before anything goes wrong."""

    def __init__(self, proxy: ChaosProxy, operator: Running, namespace: str) -> None:
        self.proxy, self.operator, self.namespace = proxy, operator, namespace
        self.began_s = time.monotonic()

    async def settle(self) -> None:
        await self.operator.apply(self.namespace, _QUEUE, _pool("calm", 2), _pool("busy", 1))
        for name, count in (("calm", 2), ("busy", 1)):
            await self.has_replicas(name, count)
        await self.operator.ticks(3)
        self.calm = await self.operator.get(self.namespace, "deployment/calm")
        self.began_s = time.monotonic()

    async def has_replicas(self, name: str, count: int) -> None:
        await self.operator.wait_get(
            self.namespace,
            f"deployment/{name}",
            lambda body: body["spec"]["replicas"] == count == body["status"].get("replicas", 0),
        )

    async def scale(self, count: int) -> None:
        """By a way of one's own, not through the proxy."""
        await self.operator.apply(self.namespace, _pool("busy", count))

    async def is_over(self, count: int) -> None:
        """All that was wanted meanwhile is there, and who was not meant was left alone."""
        await self.has_replicas("busy", count)
        await self.operator.ticks(2)
        calm = await self.operator.get(self.namespace, "deployment/calm")
        assert calm["metadata"]["uid"] == self.calm["metadata"]["uid"]
        assert calm["metadata"]["generation"] == self.calm["metadata"]["generation"]
        self.is_not_hot()

    def is_not_hot(self) -> None:
        took_s = max(1.0, time.monotonic() - self.began_s)
        hot = {key: count for key, count in self.proxy.by_path(self.began_s).items()
               if count / took_s > _HOT}  # fmt: skip
        assert hot == {}, f"in {took_s:.1f} s"


Day = Callable[[], AbstractAsyncContextManager[BadDay]]


@pytest.fixture
def day(
    windlass_api: Access,
    home: Namespace,
    team: Namespace,
    redis_server: RedisServer,
    tmp_path: Path,
) -> Day:
    """For the test to begin and end: kopf ends by cancelling every task younger than itself."""
    return lambda: _day(windlass_api, home, team, redis_server, tmp_path)


@asynccontextmanager
async def _day(
    access: Access, home: Namespace, team: Namespace, redis: RedisServer, folder: Path
) -> AsyncIterator[BadDay]:
    proxy = ChaosProxy(access, folder)
    wanted = settings(home.name, redis.url, watch_namespaces=(team.name,))
    with proxy.running() as kubeconfig:
        async with running(access, wanted, kubeconfig) as operator:
            made = BadDay(proxy, operator, team.name)
            await made.settle()
            try:
                yield made
            finally:
                proxy.heal()


def _writes(method: str, path: str, _is_watch: bool) -> bool:
    return method != "GET" and "/leases/" not in path


@pytest.mark.parametrize("status", [500, 409])
async def test_writes_that_fail_for_a_while_are_done_afterwards(day: Day, status: int) -> None:
    async with day() as bad:
        bad.proxy.fail(status, matches=_writes)
        await bad.scale(3)
        await aeventually(lambda: bad.proxy.count(bad.began_s, status=status) >= 2)
        await bad.operator.ticks(4)
        bad.proxy.heal()

        await bad.is_over(3)


async def test_a_server_that_asks_for_a_pause_gets_it(day: Day) -> None:
    async with day() as bad:
        bad.proxy.fail(429, retry_after_s=3, matches=_writes)
        await bad.scale(3)
        await aeventually(lambda: bad.proxy.count(bad.began_s, status=429) >= 1)
        refused_s = next(one.at_s for one in bad.proxy.asked if one.status == 429)
        await bad.operator.ticks(4)
        bad.proxy.heal()
        await bad.is_over(3)

        later = [
            one for one in bad.proxy.asked if one.at_s > refused_s and "/leases/" not in one.path
        ]
        sooner = [one for one in later if one.at_s < refused_s + 2.5 and not one.is_watch]
        # What was on its way at that moment had been sent; after it nothing was, but the Lease.
        assert [one for one in sooner if one.at_s > refused_s + 0.5] == []


async def test_watches_that_are_cut_are_taken_up_again(day: Day) -> None:
    async with day() as bad:
        for count in (3, 4, 5):
            assert bad.proxy.cut_watches() > 0
            await bad.scale(count)
            await bad.has_replicas("busy", count)

        await bad.is_over(5)


async def test_a_watch_that_is_too_old_starts_anew(day: Day) -> None:
    async with day() as bad:
        bad.proxy.gone = 6
        bad.proxy.cut_watches()
        await aeventually(lambda: bad.proxy.gone == 0)
        await bad.scale(3)

        await bad.is_over(3)


def _is_watch(_method: str, _path: str, is_watch: bool) -> bool:
    return is_watch


async def test_watch_whose_request_is_refused_as_too_old_starts_anew(day: Day) -> None:
    async with day() as bad:
        # None stands, so nobody hears of this: neither of the change nor of the end.
        bad.proxy.fail(500, matches=_is_watch)
        bad.proxy.cut_watches()
        await aeventually(lambda: bad.proxy.count(bad.began_s, status=500, is_watch=True) >= 1)
        await bad.operator.kubectl("delete", f"-n={bad.namespace}", "deployment/busy", "--wait")
        bad.proxy.heal()
        bad.proxy.gone, bad.proxy.gone_status = 7, 410
        await aeventually(lambda: bad.proxy.gone == 0, timeout=40)
        await bad.scale(3)

        await bad.is_over(3)


@pytest.mark.parametrize(("status", "pause_s"), [(429, 1), (500, None)])
async def test_watches_that_are_refused_are_asked_for_again(
    day: Day, status: int, pause_s: int | None
) -> None:
    async with day() as bad:
        bad.proxy.fail(status, times=6, retry_after_s=pause_s, matches=_is_watch)
        bad.proxy.cut_watches()
        await aeventually(lambda: bad.proxy.count(bad.began_s, status=status, is_watch=True) == 6)
        await bad.scale(3)

        await bad.is_over(3)
