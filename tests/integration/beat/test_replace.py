"""Replace, with a real worker: the run before is ended in its process, and the next one begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.beat.ticker import Ticker

SHOP = """
    import time
    from windlass import Windlass

    app = Windlass("shop", backend="redis://")

    @app.task
    def nap():
        time.sleep(100)
"""


@pytest.fixture
def shop(tmp_path: Path, redis_server: RedisServer) -> Iterator[Project]:
    for project in projects(tmp_path, redis_server.url):
        project.write("shop.py", SHOP)
        yield project


def fire_until(ticker: Ticker, client: Windlass, count: int) -> str:
    """Tick until so many times were fired; returns the id of the last run."""

    def has_fired() -> bool:
        ticker.run_once()
        return client.schedules.get("long").fired == count

    eventually(has_fired)
    run_id = client.schedules.get("long").active[-1].id
    eventually(lambda: client.AsyncResult(run_id).stage == "LEASED")
    return run_id


def test_a_run_that_goes_on_is_ended_when_the_next_is_due(shop: Project) -> None:
    with Windlass(
        "client", broker=shop.broker, backend=shop.broker, set_as_current=False
    ) as client:
        shop.start("-A", "shop", "worker", "-c", "1", env={"WINDLASS_LOG_STYLE": "json"})
        nap = client.signature("shop.nap")
        client.schedules.add("long", 0.5, nap, overlap="Replace", max_runs=2)
        ticker = Ticker(client.broker)

        first = fire_until(ticker, client, 1)
        second = fire_until(ticker, client, 2)

        eventually(lambda: client.AsyncResult(first).state == "REVOKED")
        schedule = client.schedules.get("long")
        assert schedule.run is not None
        assert (schedule.run.id, schedule.state) == (first, "REVOKED")
        assert [run.id for run in schedule.active] == [second]
        assert schedule.next_ms is None
        client.control.revoke(second, terminate=True)
