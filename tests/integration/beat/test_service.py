"""What beat does for an app beside ticking: it declares, at the moments when that is needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from redis_server import RedisServer
from windlass import Windlass
from windlass.beat.service import BeatService


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Windlass]:
    app = Windlass("shop", broker=redis_server.unix_url, set_as_current=False)
    app.conf.beat_schedule = {"a": {"task": "shop.a", "schedule": 3600}}
    yield app
    app.close()


def names(app: Windlass) -> list[str]:
    return [schedule.entry.name for schedule in app.schedules.all()]


def test_a_broker_that_lost_its_data_is_told_again(
    app: Windlass, redis_server: RedisServer
) -> None:
    service = BeatService(app, app.new_broker())
    assert service.ticker.run_once().leads
    assert names(app) == ["a"]
    redis_server.client().flushall()
    assert names(app) == []

    service.ticker.run_once()
    assert names(app) == ["a"]


def test_the_version_of_the_app_that_leads_last_wins(app: Windlass) -> None:
    old = BeatService(app, app.new_broker())
    old.ticker.run_once()
    app.close()
    app.conf.beat_schedule = {"b": {"task": "shop.b", "schedule": 3600}}
    new = BeatService(app, app.new_broker())
    new.check_names()
    assert names(app) == ["b"]
    old.declare()  # a process of the old version that starts once more
    assert names(app) == ["a"]

    old.ticker._give_up_lead()
    assert new.ticker.run_once().leads
    assert names(app) == ["b"]


def test_beat_waits_for_a_broker_that_is_away(app: Windlass, redis_server: RedisServer) -> None:
    redis_server.kill()
    service = BeatService(app, app.new_broker())
    service.check_names()
    redis_server.start()

    assert service.ticker.run_once().leads
    assert names(app) == ["a"]
