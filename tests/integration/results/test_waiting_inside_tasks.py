"""Waiting inside a task, in each pool (engine.md, statement 28)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from windlass import Windlass
from windlass.result import AsyncResult

SOON = 20
POOLS = ["prefork", "threads", "solo", "asyncio"]


@pytest.fixture(params=POOLS)
def send(
    request: pytest.FixtureRequest, app: Windlass, worker_of: Callable[..., None]
) -> Callable[..., AsyncResult[Any]]:
    """Send to a worker of each pool; its queue is named like the pool."""
    pool = request.param
    worker_of("-P", pool, "-c", "1" if pool == "solo" else "2", "-Q", pool)
    return lambda name, *args: app.send_task(f"result_tasks.{name}", args, queue=pool)


def test_28_get_is_refused_in_every_pool_and_await_in_all_but_asyncio(
    request: pytest.FixtureRequest, send: Callable[..., AsyncResult[Any]]
) -> None:
    inner = send("echo", 1)
    assert inner.get(timeout=SOON) == 1

    with pytest.raises(RuntimeError, match=r"Never call result.get\(\) within a task"):
        send("gets_inside", inner.id).get(timeout=SOON)
    assert send("gets_inside_allowed", inner.id).get(timeout=SOON) == [1]

    awaits = send("awaits_inside", inner.id)
    if request.node.callspec.params["send"] == "asyncio":
        assert awaits.get(timeout=SOON) == 1
        assert send("awaits_and_sends", "x").get(timeout=SOON) == ["x"]
    else:
        with pytest.raises(RuntimeError, match="Never call await result within a task"):
            awaits.get(timeout=SOON)
