"""A queue without arrivals for one scale-down window has an arrival rate of exactly zero."""

from __future__ import annotations

from typing import Any

import pytest

from operator_builders import make_depth, pool_body, queue_body
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.observe import Histories, read_objects
from windlass_operator.store import Store

URL = "redis://broker:6379/0"
KEY = ("shop", "emails")


def rate_after_silence(silence_s: float, *pools: dict[str, Any]) -> float:
    """Ten messages a second for ten seconds, then nothing."""
    store = Store()
    store.put("TaskQueue", queue_body())
    for pool in pools:
        store.put("WorkerPool", pool)
    world = read_objects(store)
    world.addresses[KEY] = Address(url=URL, operator_url=URL, broker_id="b")
    brokers, histories = Brokers(timeout_s=1), Histories()
    for at_s, enqueued in ((100.0, 0), (110.0, 100), (110.0 + silence_s, 100)):
        depths = {"emails": make_depth(enqueued=enqueued)}
        view = KeyspaceView(keyspace="shop", depths=depths, records={}, workers=())
        brokers.readings[URL] = Reading(views={"shop": view}, read_s=at_s)
        histories.follow(world, brokers)
    return histories.of(KEY).arrival_rate


def pool(name: str, window: str) -> dict[str, Any]:
    return pool_body(name, autoscaling={"maxReplicas": 3, "scaleDown": {"window": window}})


def test_window_of_the_pool_decides_when_a_queue_is_quiet() -> None:
    assert rate_after_silence(9.0, pool("emails", "10s")) > 0
    assert rate_after_silence(11.0, pool("emails", "10s")) == 0


def test_longest_window_of_several_pools_decides() -> None:
    assert rate_after_silence(11.0, pool("emails", "10s"), pool("other", "60s")) > 0


@pytest.mark.parametrize("pools", [(), (pool_body(replicas=2),)], ids=["no pool", "fixed pool"])
def test_default_window_decides_where_no_pool_is_autoscaled(pools: tuple[Any, ...]) -> None:
    assert rate_after_silence(299.0, *pools) > 0
    assert rate_after_silence(300.0, *pools) == 0
