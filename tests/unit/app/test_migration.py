"""A Celery application after nothing but the search-and-replace of the migration guide."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

import pytest

WriteModules = Callable[[dict[str, str]], None]

APPLICATION = {
    "proj/__init__.py": """
        from .celery import app as celery_app
        __all__ = ("celery_app",)
        """,
    "proj/celery.py": """
        from celery import Celery

        app = Celery("proj", backend="redis://", include=["proj.tasks"])
        app.config_from_object("proj.celeryconfig")
        app.conf.update(result_expires=3600)

        if __name__ == "__main__":
            app.start()
        """,
    "proj/celeryconfig.py": """
        from datetime import timedelta

        broker_url = "redis://localhost:6379/0"
        broker_connection_retry_on_startup = True
        broker_transport_options = {"visibility_timeout": 3600}
        task_serializer = "json"
        result_serializer = "json"
        accept_content = ["json"]
        timezone = "Europe/Oslo"
        enable_utc = True
        task_always_eager = True
        task_acks_late = True
        worker_prefetch_multiplier = 1
        worker_max_tasks_per_child = 100
        task_routes = {"proj.tasks.mul": {"queue": "math"}, "proj.feed.*": "feeds"}
        task_time_limit = timedelta(minutes=5).total_seconds()
        """,
    "proj/tasks.py": """
        from celery import Task, shared_task, signature, states
        from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
        from celery.exceptions import SoftTimeLimitExceeded
        from celery.result import AsyncResult
        from celery.utils.log import get_task_logger

        from .celery import app

        logger = get_task_logger(__name__)


        class Base(Task):
            seen = []

            def on_success(self, retval, task_id, args, kwargs):
                self.seen.append(retval)


        @app.task(base=Base)
        def add(x, y):
            return x + y


        @app.task(bind=True, autoretry_for=(ValueError,), retry_backoff=True, max_retries=2)
        def flaky(self, until):
            if self.request.retries < until:
                raise ValueError(self.request.retries)
            return self.request.retries


        @shared_task(bind=True, ignore_result=True)
        def mul(self, x, y):
            logger.info("multiplying in %s", self.request.id)
            return x * y


        @app.task
        def xsum(numbers):
            return sum(numbers)
        """,
}


@pytest.fixture
def tasks(write_modules: WriteModules) -> object:
    replaced = {
        re.sub(r"\bcelery\b", "windlass", path): re.sub(r"\bcelery\b", "windlass", text)
        for path, text in APPLICATION.items()
    }
    write_modules(replaced)
    return importlib.import_module("proj.tasks")


def test_application_runs_after_search_and_replace(tasks: object) -> None:
    module: dict[str, Any] = vars(tasks)
    app, add, flaky, mul = (module[name] for name in ("app", "add", "flaky", "mul"))

    assert add.delay(2, 3).get() == 5
    assert add.s(2).delay(3).get() == 5
    assert add.seen == [5, 5]
    assert flaky.delay(2).get() == 2
    with pytest.raises(ValueError, match="2"):
        flaky.delay(5).get()
    assert mul.delay(2, 3).get() in (6, None)
    assert app.main == "proj"
    assert set(app.tasks) == {f"proj.tasks.{name}" for name in ("add", "flaky", "mul", "xsum")}


def test_configuration_is_taken_over_and_what_means_nothing_is_listed(tasks: object) -> None:
    conf = vars(tasks)["app"].conf

    assert (conf.task_time_limit, conf.result_expires) == (300, 3600)
    assert set(conf.ignored) == {"broker_connection_retry_on_startup", "worker_prefetch_multiplier"}
    assert vars(tasks)["app"].router.route("proj.tasks.mul", {}).queue == "math"
