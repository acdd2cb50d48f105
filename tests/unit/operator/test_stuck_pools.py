"""A pool whose workers do not start leaves the rest of a shared queue to the others."""

from __future__ import annotations

import time
from typing import Any

import pytest

from operator_builders import make_depth, pool_body, queue_body
from windlass.control_plane.queue_record import QueueRecord
from windlass.control_plane.survey import KeyspaceView
from windlass_operator.broker_addresses import Address
from windlass_operator.brokers import Brokers, Reading
from windlass_operator.observe import Histories, build_views, read_objects
from windlass_operator.store import Store

URL = "redis://h"
LABELS = {"windlass.dev/pool": "stuck", "windlass.dev/track": "rolling"}

CRASHES = {"restartCount": 7, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
NO_IMAGE = {"restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}
NO_NODE = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: no memory"}


def deployment(
    replicas: int, version: str = "v2", made: str = "2026-11-24T06:00:00Z"
) -> dict[str, Any]:
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "stuck" if version == "v2" else f"stuck-{version}",
            "namespace": "shop",
            "labels": {**LABELS, "windlass.dev/version": version},
            "creationTimestamp": made,
        },
        "spec": {"replicas": replicas},
    }


def pod(status: dict[str, Any], version: str = "v2") -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"stuck-{version}-0",
            "namespace": "shop",
            "labels": {**LABELS, "windlass.dev/version": version},
        },
        "status": {"phase": "Pending", **status},
    }


def container(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": "worker", **status}]


def shares(backlog: int, *bodies: dict[str, Any]) -> dict[str, float]:
    """Slots of the one queue that fall to the pools `stuck` and `well`, of 20 slots each."""
    store = Store()
    for body in (queue_body(), pool_body("stuck"), pool_body("well"), *bodies):
        store.put(body["kind"], body)
    world = read_objects(store)
    world.addresses["shop", "emails"] = Address(url=URL, operator_url=URL, broker_id="b1")
    space = KeyspaceView(
        keyspace="shop",
        depths={"emails": make_depth(open=backlog)},
        records={"emails": QueueRecord()},
        workers=(),
    )
    brokers = Brokers(1.0)
    brokers.readings[URL] = Reading(views={"shop": space}, read_s=time.monotonic())
    build_views(world, brokers, Histories())
    return {name: world.shares["shop", name]["emails"] for name in ("stuck", "well")}


@pytest.mark.parametrize(
    "status",
    [
        {"containerStatuses": container(CRASHES)},
        {"containerStatuses": container(NO_IMAGE)},
        {"conditions": [NO_NODE]},
    ],
    ids=["crash loop", "no image", "no node"],
)
def test_a_stuck_pool_gets_no_more_than_it_has_and_the_others_take_the_rest(
    status: dict[str, Any],
) -> None:
    found = shares(21, deployment(2), pod(status))

    assert found["stuck"] <= 2
    assert found["stuck"] + found["well"] == 21


def test_a_pool_that_works_keeps_its_part() -> None:
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}

    assert shares(20, deployment(2), pod(ready)) == {"stuck": 10, "well": 10}


def test_a_stuck_pool_that_is_larger_than_its_maximum_gets_its_maximum() -> None:
    stuck = {"containerStatuses": container(CRASHES)}

    assert shares(40, deployment(99), pod(stuck)) == {"stuck": 20, "well": 20}


def test_a_stuck_old_version_does_not_make_the_new_one_stuck() -> None:
    """As for growth: what is broken may be just what the new version mends."""
    old = pod({"containerStatuses": container(CRASHES)}, "v1")
    found = shares(20, deployment(1), deployment(1, "v1", "2026-11-24T05:00:00Z"), old)

    assert found == {"stuck": 10, "well": 10}


def test_a_stuck_pod_that_is_on_its_way_out_counts_no_more() -> None:
    leaving = pod({"containerStatuses": container(CRASHES)})
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T06:00:00Z"

    assert shares(20, deployment(1), leaving) == {"stuck": 10, "well": 10}
