"""Every field of a spec is read by something that decides: what is accepted does something."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from operator_builders import NOW_S, make_depth, pool_body, queue_body
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address, resolve
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.models.resource import Spec
from windlass_operator.models.taskqueue import TaskQueueSpec
from windlass_operator.models.workerpool import WorkerPoolSpec
from windlass_operator.observe import (
    Histories,
    World,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
    survey_plan,
)
from windlass_operator.observed import BrokerError
from windlass_operator.pool_memory import PoolMemory
from windlass_operator.reduce_pool import reduce_pool
from windlass_operator.reduce_queue import reduce_queue
from windlass_operator.settings import OperatorSettings
from windlass_operator.store import Store

URL = "redis://h"
AUTO = {"minReplicas": 0, "maxReplicas": 5, "fallback": {"behavior": "Static", "replicas": 1}}
OBJECTS = (
    queue_body(),
    queue_body("own", broker={"url": URL}),
    queue_body("secret", broker={"secretKeyRef": {"name": "s", "key": "k"}}),
    pool_body("emails", autoscaling=AUTO),
    pool_body("fixed", replicas=2),
)


def specs(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A spec's model and those of its parts."""
    yield model
    for info in model.model_fields.values():
        waiting = [info.annotation]
        while waiting:
            kind = waiting.pop()
            waiting += get_args(kind)
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from specs(kind)


FIELDS = sorted(
    {
        (model.__name__, name)
        for root in (TaskQueueSpec, WorkerPoolSpec)
        for model in specs(root)
        for name in model.model_fields
    }
)


def deployment(pool: str) -> dict[str, Any]:
    labels = {"windlass.dev/pool": pool, "windlass.dev/version": "v1"}
    metadata = {"name": pool, "namespace": "shop", "labels": labels}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": 3}}


def brokers_with(error: BrokerError | None) -> Brokers:
    space = KeyspaceView(
        keyspace="shop",
        depths={name: make_depth(name, open=1) for name in ("emails", "own", "secret")},
        records={name: QueueRecord() for name in ("emails", "own", "secret")},
        workers=(),
    )
    brokers = Brokers(1.0)
    brokers.readings[URL] = Reading(
        views={"shop": space}, read_s=time.monotonic(), error=error, failures=9 if error else 0
    )
    return brokers


def decide_everything(world: World, store: Store, error: BrokerError | None) -> None:
    """All of one tick that reads specs, without the API server and brokers."""
    brokers, histories = brokers_with(error), Histories()
    settings = OperatorSettings.from_env({})
    for key, queue in world.queues.items():
        resolve(queue, settings, URL, None, {})
        world.addresses[key] = Address(url=URL, operator_url=URL, broker_id="b1")
    survey_plan(world)
    histories.follow(world, brokers)
    build_views(world, brokers, histories)
    for key in world.queues:
        reduce_queue(observe_queue(world, brokers, key, None), NOW_S)
    for key in world.pools:
        reduce_pool(observe_pool(world, store, brokers, key), PoolMemory(), NOW_S)


@pytest.fixture(scope="module")
def read() -> set[tuple[str, str]]:
    """(model, field) of all that was read once the objects had been checked."""
    store = Store()
    for body in (*OBJECTS, deployment("emails"), deployment("fixed")):
        store.put(body["kind"], body)
    world = read_objects(store)
    assert not world.invalid
    found: set[tuple[str, str]] = set()

    def note(self: Spec, name: str) -> Any:
        found.add((type(self).__name__, name))
        return object.__getattribute__(self, name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spec, "__getattribute__", note, raising=False)
        decide_everything(world, store, None)
        decide_everything(world, store, BrokerError.UNREACHABLE)
    return found


@pytest.mark.parametrize(("model", "field"), FIELDS, ids=[f"{m}.{f}" for m, f in FIELDS])
def test_a_field_is_read(read: set[tuple[str, str]], model: str, field: str) -> None:
    assert (model, field) in read, f"{model}.{field} is accepted and does nothing"


def test_models_are_read_only_by_name(read: set[tuple[str, str]]) -> None:
    """Nothing takes a whole spec apart, which would read every field and prove nothing."""
    assert not {name for _, name in read} & {"model_dump", "model_dump_json", "__dict__"}
