"""`windlass.contrib.testing`: an app in memory and a worker inside the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from waiting import eventually
from windlass import Windlass, current_app, shared_task
from windlass.brokers.memory import MemoryBroker
from windlass.contrib.testing.app import TestApp, setup_default_app
from windlass.contrib.testing.worker import WorkerNotStopped, start_worker
from windlass.errors import ConfigurationError, SoftTimeLimitExceeded, TaskRevokedError
from windlass.states import Stage

SOON = 20  # seconds: bounds a failing test, never slows a passing one


@pytest.fixture
def app() -> Iterator[Windlass]:
    app = TestApp()

    @app.task(name="t.add")
    def add(x: int, y: int) -> int:
        return x + y

    with app:
        yield app


def test_a_task_runs_in_the_worker_of_the_test(app: Windlass) -> None:
    with start_worker(app) as worker:
        assert worker.is_alive
        assert app.tasks["t.add"].delay(1, 2).get(timeout=SOON) == 3

    assert not worker.is_alive


def test_what_is_sent_before_waits_for_the_worker(app: Windlass) -> None:
    result = app.tasks["t.add"].delay(1, 2)
    assert result.stage is Stage.QUEUED

    with start_worker(app):
        assert result.get(timeout=SOON) == 3


async def test_a_result_can_be_awaited(app: Windlass) -> None:
    with start_worker(app):
        assert await app.tasks["t.add"].delay(2, 2) == 4


def test_tasks_and_test_share_memory(app: Windlass) -> None:
    seen: list[Any] = []
    app.task(seen.append, name="t.note")

    with start_worker(app):
        app.send_task("t.note", ["here"]).get(timeout=SOON)

    assert seen == ["here"]


def test_retries_links_and_errors_are_those_of_a_real_worker(app: Windlass) -> None:
    linked: list[int] = []

    @app.task(bind=True, name="t.flaky", max_retries=3)
    def flaky(self: Any) -> int:
        if self.request.retries < 2:
            raise self.retry(countdown=0.01)
        return int(self.request.retries)

    @app.task(name="t.broken")
    def broken() -> None:
        raise KeyError("lost")

    app.task(linked.append, name="t.linked")
    with start_worker(app):
        result = flaky.apply_async(link=app.tasks["t.linked"].s())
        assert result.get(timeout=SOON) == 2
        with pytest.raises(KeyError, match="lost"):
            broken.delay().get(timeout=SOON)
        assert eventually(lambda: linked == [2])


def test_a_soft_time_limit_is_raised_in_the_task(app: Windlass) -> None:
    @app.task(name="t.long", soft_time_limit=0.05)
    def long() -> str:
        try:
            while True:
                threading.Event().wait(0.01)
        except SoftTimeLimitExceeded:
            return "cut short"

    with start_worker(app):
        assert long.delay().get(timeout=SOON) == "cut short"


def test_a_revoked_task_does_not_run(app: Windlass) -> None:
    result = app.tasks["t.add"].apply_async((1, 2), countdown=3600)
    result.revoke()

    with start_worker(app), pytest.raises(TaskRevokedError):
        result.get(timeout=SOON)


def test_the_queues_served_can_be_chosen(app: Windlass) -> None:
    other = app.tasks["t.add"].apply_async((1, 2), queue="other")
    default = app.tasks["t.add"].delay(3, 4)

    with start_worker(app, queues=["other"]) as worker:
        assert worker.queues == ("other",)
        assert other.get(timeout=SOON) == 3
    assert default.stage is Stage.QUEUED


def test_one_worker_after_another_serves_the_same_app(app: Windlass) -> None:
    for _ in range(3):
        with start_worker(app):
            assert app.tasks["t.add"].delay(1, 2).get(timeout=SOON) == 3


def test_no_thread_and_no_app_is_left_behind(app: Windlass) -> None:
    before = threading.active_count()
    with start_worker(app):
        assert current_app() is app

    assert eventually(lambda: threading.active_count() <= before)


def test_a_task_that_does_not_end_is_told_and_leaves_the_process_alone(app: Windlass) -> None:
    begun, may_end = threading.Event(), threading.Event()

    @app.task(name="t.stuck")
    def stuck() -> None:
        begun.set()
        may_end.wait(SOON)

    result = stuck.delay()
    with (
        pytest.raises(WorkerNotStopped, match="still running"),
        start_worker(app, shutdown_timeout=0.1) as worker,
    ):
        assert begun.wait(SOON)
    assert eventually(lambda: result.stage is Stage.QUEUED)  # handed back
    may_end.set()
    assert eventually(lambda: not worker.is_alive)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pool": "prefork"}, "pool='solo'"),
        ({"concurrency": 2}, "concurrency=1"),
        ({"max_tasks_per_child": 1}, "no slot process to replace"),
    ],
)
def test_what_needs_a_process_of_its_own_is_refused(
    app: Windlass, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says), start_worker(app, **options):
        pass


def test_a_hard_time_limit_is_refused_in_words(app: Windlass) -> None:
    app.task(lambda: None, name="t.limited", time_limit=5)

    with pytest.raises(ConfigurationError, match=r"hard time limit.*t\.limited"), start_worker(app):
        pass


def test_each_test_app_has_a_broker_of_its_own_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WINDLASS_BROKER_URL", "redis://production")
    one, other = (
        TestApp("one", task_default_queue="jobs"),
        TestApp(config={"timezone": "Asia/Tokyo"}),
    )

    result = one.send_task("somewhere.task")

    assert isinstance(one.broker, MemoryBroker)
    assert other.AsyncResult(result.id).stage is Stage.UNKNOWN
    assert one.conf.task_default_queue == "jobs"
    assert other.conf.timezone == "Asia/Tokyo"
    assert one.conf.origin("broker_url") == "TestApp()"


def test_a_test_app_takes_another_broker() -> None:
    assert TestApp(broker="redis://h").conf.result_backend == "redis://h"
    app = TestApp(config={"broker_url": "redis://h", "result_backend": "disabled://"})
    assert (app.conf.broker_url, app.conf.result_backend) == ("redis://h", "disabled://")


def test_shared_tasks_use_the_default_app_of_the_block(app: Windlass) -> None:
    @shared_task(name="t.shared")
    def double(x: int) -> int:
        return 2 * x

    with setup_default_app(app), start_worker(app):
        assert double.delay(4).get(timeout=SOON) == 8
