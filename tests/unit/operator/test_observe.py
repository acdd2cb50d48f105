"""Gathering the world: invalid objects apart, conflicts by age, needs divided among pools."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from operator_builders import make_depth, make_worker, pool_body, queue_body
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.observe import (
    Histories,
    World,
    build_views,
    observe_pool,
    observe_queue,
    read_objects,
    survey_plan,
)
from windlass_operator.observed import BrokerError, PoolObserved
from windlass_operator.store import Store

URL = "redis://h"


def address(broker_id: str = "b1", **values: Any) -> Address:
    return Address(**{"url": URL, "operator_url": URL, "broker_id": broker_id, **values})


def world_of(*bodies: dict[str, Any]) -> tuple[World, Store]:
    store = Store()
    for body in bodies:
        store.put(body["kind"], body)
    world = read_objects(store)
    for key in world.queues:
        world.addresses[key] = address()
    return world, store


def brokers_with(error: BrokerError | None = None, **depths: Any) -> Brokers:
    brokers = Brokers(1.0)
    view = KeyspaceView(
        keyspace="shop",
        depths=depths,
        records={name: QueueRecord() for name in depths},
        workers=(make_worker("emails-0", busy=1), make_worker("someone-elses")),
    )
    brokers.readings[URL] = Reading(
        views={"shop": view}, read_s=time.monotonic(), error=error, failures=int(bool(error))
    )
    return brokers


def pod(name: str = "emails-0") -> dict[str, Any]:
    labels = {"windlass.dev/pool": "emails", "windlass.dev/track": "rolling"}
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {},
    }


def observed_pool(
    world: World, store: Store, brokers: Brokers, name: str = "emails"
) -> PoolObserved:
    build_views(world, brokers, Histories())
    return observe_pool(world, store, brokers, ("shop", name))


def test_an_invalid_object_is_set_apart_and_stops_nobody_else() -> None:
    world, _ = world_of(
        queue_body("good"), queue_body("bad", drainTarget="soon"), pool_body("p", app="")
    )
    assert list(world.queues) == [("shop", "good")]
    assert set(world.invalid) == {("TaskQueue", ("shop", "bad")), ("WorkerPool", ("shop", "p"))}


def test_the_older_of_two_equal_queues_wins() -> None:
    old, young = queue_body("z-old", queueName="same"), queue_body("a-young", queueName="same")
    young["metadata"]["creationTimestamp"] = "2026-11-24T06:00:01Z"
    world, _ = world_of(young, old)
    build_views(world, brokers_with(), Histories())

    assert world.views["shop", "a-young"].conflict == "z-old"
    assert world.views["shop", "z-old"].conflict == ""


def test_equal_queues_on_other_brokers_or_in_other_namespaces_do_not_conflict() -> None:
    world, _ = world_of(
        queue_body("one", queueName="same"),
        queue_body("two", queueName="same"),
        queue_body("three", namespace="bank", queueName="same"),
    )
    world.addresses["shop", "two"] = address("b2")
    build_views(world, brokers_with(), Histories())

    assert [view.conflict for view in world.views.values()] == ["", "", ""]


def test_queues_whose_broker_is_not_known_are_in_nobodys_way() -> None:
    world, _ = world_of(queue_body("one", queueName="same"), queue_body("two", queueName="same"))
    for key in world.queues:
        world.addresses[key] = Address(error=BrokerError.SECRET_MISSING, detail="no")
    build_views(world, brokers_with(), Histories())

    assert [view.conflict for view in world.views.values()] == ["", ""]


def test_what_is_read_looks_as_far_ahead_as_the_pools_want() -> None:
    world, _ = world_of(
        queue_body(),
        queue_body("lonely"),
        pool_body("one", autoscaling={"maxReplicas": 1, "wakeHorizon": "2m"}),
        pool_body("two", autoscaling={"maxReplicas": 1, "wakeHorizon": "5m"}),
    )
    assert survey_plan(world) == {URL: {"shop": {"emails": 300_000, "lonely": 0}}}


def test_queues_without_a_usable_broker_are_not_read() -> None:
    world, _ = world_of(queue_body())
    world.addresses["shop", "emails"] = Address(error=BrokerError.NOT_OFFERED)

    assert survey_plan(world) == {}


def test_a_shared_queue_is_divided_and_said() -> None:
    world, store = world_of(queue_body(), pool_body("emails"), pool_body("more"))
    brokers = brokers_with(emails=make_depth(open=40))
    one = observed_pool(world, store, brokers)
    two = observe_pool(world, store, brokers, ("shop", "more"))

    assert one.shared == two.shared == {"emails"}
    assert one.shares["emails"] + two.shares["emails"] == 40
    assert one.shares["emails"] == two.shares["emails"]


def test_a_pool_with_a_fixed_number_does_its_part_of_a_shared_queue() -> None:
    world, store = world_of(
        queue_body(), pool_body("emails"), pool_body("fixed", replicas=20, concurrency=1)
    )
    one = observed_pool(world, store, brokers_with(emails=make_depth(open=20)))

    assert one.shares["emails"] == 10


def test_a_paused_pool_leaves_its_part_to_the_others() -> None:
    world, store = world_of(queue_body(), pool_body("emails"), pool_body("more", paused=True))
    one = observed_pool(world, store, brokers_with(emails=make_depth(open=15)))

    assert one.shares["emails"] == 15


def test_pools_of_other_namespaces_share_nothing() -> None:
    world, store = world_of(
        queue_body(), pool_body("emails"), pool_body("emails", namespace="bank")
    )
    one = observed_pool(world, store, brokers_with(emails=make_depth(open=15)))

    assert one.shared == frozenset()
    assert one.shares["emails"] == 15


def test_workers_are_those_of_the_pools_pods() -> None:
    world, store = world_of(queue_body(), pool_body(), pod())
    pool = observed_pool(world, store, brokers_with(emails=make_depth()))

    assert [worker.hostname for worker in pool.workers] == ["emails-0"]
    assert pool.workers_known


def test_heartbeats_are_unknown_while_the_broker_fails_or_no_queue_is_there() -> None:
    world, store = world_of(queue_body(), pool_body(), pod())
    failing = observed_pool(
        world, store, brokers_with(BrokerError.UNREACHABLE, emails=make_depth())
    )
    assert not failing.workers_known

    world, store = world_of(pool_body(), pod())
    assert not observed_pool(world, store, brokers_with()).workers_known


def test_a_failing_broker_keeps_the_last_known_depth_and_says_why() -> None:
    world, store = world_of(queue_body(), pool_body())
    brokers = brokers_with(BrokerError.UNREACHABLE, emails=make_depth(open=7))
    pool = observed_pool(world, store, brokers)

    view = pool.queues[0]
    assert view.depth is not None
    assert view.depth.open == 7
    assert view.broker is not None
    assert view.broker.error is BrokerError.UNREACHABLE
    assert view.broker.failures == 1


def test_a_queue_that_is_not_declared_is_seen_as_such() -> None:
    world, store = world_of(pool_body())
    pool = observed_pool(world, store, brokers_with())

    assert [(view.ref, view.queue) for view in pool.queues] == [("emails", None)]


def test_a_queue_knows_its_pools_and_its_record() -> None:
    world, _ = world_of(queue_body(), pool_body("one"), pool_body("two"))
    brokers = brokers_with(emails=make_depth())
    build_views(world, brokers, Histories())

    fresh = observe_queue(world, brokers, ("shop", "emails"), None)
    bound = observe_queue(world, brokers, ("shop", "emails"), "b1")
    rotated = observe_queue(world, brokers, ("shop", "emails"), "b0")

    assert set(fresh.pools) == {"one", "two"}
    assert fresh.record == msgspec.structs.asdict(QueueRecord())
    assert (fresh.binding_exists, bound.binding_exists, rotated.binding_exists) == (
        False,
        True,
        False,
    )


def test_a_record_of_a_failing_broker_is_not_believed() -> None:
    world, _ = world_of(queue_body())
    brokers = brokers_with(BrokerError.UNREACHABLE, emails=make_depth())
    build_views(world, brokers, Histories())

    assert observe_queue(world, brokers, ("shop", "emails"), None).record is None


def test_histories_learn_from_readings_and_forget_queues_that_are_gone() -> None:
    world, _ = world_of(queue_body())
    brokers = brokers_with(emails=make_depth(enqueued=0))
    histories = Histories()
    histories.follow(world, brokers)
    brokers.readings[URL].views["shop"].depths["emails"] = make_depth(enqueued=600)  # type: ignore[index]
    brokers.readings[URL].read_s += 60
    histories.follow(world, brokers)
    assert 7.0 < histories.of(("shop", "emails")).arrival_rate < 8.0

    histories.follow(World(), brokers)
    assert histories.of(("shop", "emails")).arrival_rate == 0.0
