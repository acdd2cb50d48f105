"""`windlass limits` and the limits of `windlass queues set`, as processes, on a real Redis."""

from __future__ import annotations

import json

import pytest

from builders import make_messages
from commands import Project
from windlass.brokers.base import FetchRequest
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.limits import TaskLimits, declare_limits


@pytest.fixture
def broker(shop: Project):
    broker = RedisBroker(shop.broker)
    yield broker
    broker.close()


def test_limits_show_what_is_declared_what_was_set_and_who_waits(
    shop: Project, broker: RedisBroker
) -> None:
    declare_limits(broker, {"shop.add": TaskLimits(rate_limit="10/s", max_concurrency=1)})
    broker.enqueue(make_messages(3, "shop.add"))
    request = FetchRequest(worker_id="w", queues=("default",), want=3, lease_ms=60_000)
    broker.exchange([], request)
    held = json.loads(shop.run("limits", "set", "shop.add", "--rate-limit", "5/m").stdout)
    assert (held["rate_limit"], held["max_concurrency"]) == ("5/m", 1)

    heading, row = shop.run("limits").stdout.splitlines()
    assert heading.split()[:3] == ["TASK", "RATE", "AT"]
    assert row.split() == ["shop.add", "5/m", "1", "-", "-", "1", "2", "set:", "rate_limit"]

    back = json.loads(shop.run("limits", "unset", "shop.add").stdout)
    assert back["rate_limit"] == "10/s"
    (listed,) = json.loads(shop.run("limits", "list", "--json").stdout)
    assert (listed["overridden"], listed["waiting"]) == ([], 2)


def test_wrong_limits_are_refused_in_words(shop: Project) -> None:
    nothing = shop.run("limits", "set", "shop.add")
    assert (nothing.returncode, "--rate-limit" in nothing.stderr) == (2, True)

    unreadable = shop.run("limits", "set", "shop.add", "--rate-limit", "often")
    assert (unreadable.returncode, "'100/m'" in unreadable.stderr) == (1, True)
    assert "No limits" in shop.run("limits").stderr


def test_a_queues_limits_are_set_and_taken_away(shop: Project) -> None:
    limited = shop.run("queues", "set", "mail", "--rate-limit", "100/s", "--max-concurrency", "4")
    assert json.loads(limited.stdout)["rate_limit"] == "100/s"

    free = json.loads(
        shop.run("queues", "set", "mail", "--rate-limit", "0", "--max-concurrency", "0").stdout
    )
    assert (free["rate_limit"], free["max_concurrency"]) == (None, None)
