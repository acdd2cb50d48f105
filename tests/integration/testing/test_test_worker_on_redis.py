"""The worker inside a test speaks to a real Redis as well."""

from __future__ import annotations

import pytest

from windlass.contrib.testing.app import TestApp
from windlass.contrib.testing.worker import start_worker

SOON = 20  # seconds: bounds a failing test, never slows a passing one


def test_a_task_runs_in_the_worker_of_the_test(redis_url: str) -> None:
    with TestApp(broker=redis_url) as app:
        add = app.task(lambda x, y: x + y, name="t.add")

        for _ in range(2):
            with start_worker(app):
                assert add.delay(1, 2).get(timeout=SOON) == 3


def test_a_broker_that_is_away_is_told(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("windlass.contrib.testing.worker._START_S", 0.2)
    port = "1"
    with (
        TestApp(broker=f"redis://127.0.0.1:{port}") as app,
        pytest.raises(TimeoutError, match="is its broker there"),
        start_worker(app),
    ):
        pass
