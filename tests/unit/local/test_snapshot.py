"""Rows of queues: a limit that is felt is said where nothing worse is."""

from __future__ import annotations

from typing import Any

import pytest

from operator_builders import make_depth, make_queue, make_view
from windlass_operator.local.snapshot import Rates, snapshot
from windlass_operator.observe import World
from windlass_operator.store import Store


def words_of(depth: dict[str, int], **spec: Any) -> str:
    world = World()
    queue = make_queue(**spec)
    key = ("shop", "emails")
    world.queues[key] = queue
    world.views[key] = make_view(queue=queue, depth=make_depth(**depth), service_s=1.0)
    (row,) = snapshot(world, Store(), Rates(), 0.0).queues
    return row.words


@pytest.mark.parametrize(
    ("depth", "spec", "words"),
    [
        ({"open": 1000}, {"maxConcurrency": 5}, "limited to 5 at once"),
        ({"open": 1000}, {"rateLimit": "2/s"}, "limited to 2/s"),
        ({"open": 1}, {"maxConcurrency": 5}, ""),
        ({"open": 1000}, {"maxConcurrency": 5, "paused": True}, "paused"),
    ],
)
def test_limits_that_are_felt_are_said(
    depth: dict[str, int], spec: dict[str, Any], words: str
) -> None:
    assert words_of(depth, **spec) == words
