"""The least that the same result costs: the operator's writes, once each, sent by a bare loop.

The plans for all objects are made by the operator's own reductions before the clock starts, and
their manifests are encoded; what is timed sends bytes and reads answers, and does nothing else. So
the difference between this and the operator is the operator's, and the rest the API server's.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import msgspec
from kubernetes.aio import client, config
from operator_world import Spent, said

from operator_process import settings
from windlass.brokers.base import QueueDepth
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.survey import KeyspaceView
from windlass_cluster.access import Access
from windlass_operator.addresses import Addresses
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.kube import APPLY, Kube, Ref
from windlass_operator.models.resource import API_VERSION
from windlass_operator.observe import (
    Histories,
    World,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
)
from windlass_operator.plan import ApplyObject, Manager, SetReplicas, SetStatus
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.reduce_queue import reduce_queue
from windlass_operator.store import Store

#: As many as the operator has at work.
AT_ONCE = 32


async def floor(access: Access, name: str, redis_url: str) -> None:
    """Send the writes and print what it took."""
    configuration = client.Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(access.kubeconfig), client_configuration=configuration
    )
    api = client.ApiClient(configuration)
    kube = Kube(api)
    stages = await _writes(kube, redis_url)
    await kube.close()
    connector = aiohttp.TCPConnector(ssl=api.rest_client.ssl_context)
    async with aiohttp.ClientSession(configuration.host, connector=connector) as session:
        spent, began_s = Spent(name), time.monotonic()
        for stage in stages:
            await _send(session, stage)
        count, took_s = sum(map(len, stages)), time.monotonic() - began_s
        print(f"floor: {count:,} writes, bare     {took_s:8.1f} s  ({said(spent.so_far())})")


async def _send(session: aiohttp.ClientSession, writes: list[tuple[str, bytes]]) -> None:
    left = iter(writes)

    async def worker() -> None:
        for path, body in left:
            async with session.patch(path, data=body, headers={"Content-Type": APPLY}) as answer:
                text = await answer.read()
                if answer.status >= 400:
                    raise SystemExit(f"{path}: {answer.status} {text.decode()}")

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


async def _writes(kube: Kube, redis_url: str) -> list[list[tuple[str, bytes]]]:
    """Requests in three stages, of those that may be sent in any order: path and body."""
    store, brokers = Store(), Brokers(1.0)
    for kind in ("TaskQueue", "WorkerPool"):
        more = ""
        while True:
            page = await kube.list_page(kind, "", more=more)
            for body in page["items"]:
                store.put(kind, body)
            more = page["metadata"].get("continue", "")
            if not more:
                break
    world = read_objects(store)
    addresses = Addresses(kube, settings("bench-0", redis_url))
    for key, queue in world.queues.items():
        world.addresses[key] = await addresses.of(queue)
    brokers.readings[redis_url] = Reading(views=_idle(world), read_s=time.monotonic())
    build_views(world, brokers, Histories())
    now_s = time.time()  # as the operator's loop has it
    queues = [
        _request(action, key, "TaskQueue")
        for key in world.queues
        for action in reduce_queue(observe_queue(world, brokers, key, None), now_s).actions
    ]
    actions = [
        (action, key)
        for key in world.pools
        for action in reduce_pool(
            observe_pool(world, store, brokers, key), PoolMemory(), now_s
        ).plan.actions
    ]
    first = [_request(a, k, "WorkerPool") for a, k in actions if not isinstance(a, SetReplicas)]
    then = [_request(a, k, "WorkerPool") for a, k in actions if isinstance(a, SetReplicas)]
    return [[one for one in stage if one is not None] for stage in (queues, first, then)]


def _idle(world: World) -> dict[str, KeyspaceView]:
    spaces = {key[0] for key in world.queues}
    return {
        space: KeyspaceView(
            keyspace=space,
            depths={q: QueueDepth(queue=q) for s, q in world.queues if s == space},
            records={q: QueueRecord() for s, q in world.queues if s == space},
            workers=(),
        )
        for space in spaces
    }


def _request(action: Any, key: tuple[str, str], kind: str) -> tuple[str, bytes] | None:
    subresource, manager = "", Manager.TEMPLATE
    metadata = {"name": key[1], "namespace": key[0]}
    match action:
        case ApplyObject():
            manifest, manager = dict(action.manifest), action.manager
        case SetStatus():
            subresource, manager = "status", Manager.STATUS
            manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata,
                        "status": action.status}  # fmt: skip
        case SetReplicas():
            manager = Manager.AUTOSCALER
            manifest = {"apiVersion": "apps/v1", "kind": "Deployment",
                        "metadata": {**metadata, "name": action.deployment},
                        "spec": {"replicas": action.replicas}}  # fmt: skip
        case _:
            return None
    named = manifest["metadata"]
    ref = Ref(kind=manifest["kind"], namespace=named["namespace"], name=named["name"])
    path = f"{ref.path(subresource)}?fieldManager={manager}&force=true"
    return path, msgspec.json.encode(manifest)
