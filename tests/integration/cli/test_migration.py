"""docs/how-to/migrate-from-celery.md: its command, run on a Celery application, makes it ours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from redis_server import RedisServer
from repository import ROOT

GUIDE = (ROOT / "docs" / "how-to" / "migrate-from-celery.md").read_text()

#: As applications of Celery's documentation look: an app module, shared tasks, a class, a logger.
APPLICATION = {
    "proj/__init__.py": """
        from .celery import app as celery_app
        __all__ = ("celery_app",)
    """,
    "proj/celery.py": """
        from celery import Celery

        app = Celery("proj", backend="redis://", include=["proj.tasks"])
        app.conf.update(
            broker_connection_retry_on_startup=True,
            result_expires=3600,
            task_routes={"proj.tasks.mail*": {"queue": "mail"}},
            task_time_limit=30,
            task_track_started=True,
            timezone="Europe/Paris",
            worker_prefetch_multiplier=1,
        )
        app.autodiscover_tasks(["proj"])
    """,
    "proj/tasks.py": """
        import celery
        from celery import Task, shared_task, states
        from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, SoftTimeLimitExceeded
        from celery.result import AsyncResult
        from celery.utils.log import get_task_logger
        from proj.celery import app

        logger = get_task_logger(__name__)

        class Base(celery.Task):
            def on_failure(self, exc, task_id, args, kwargs, einfo):
                logger.error("the hook saw %r", exc)

        @app.task(bind=True, base=Base, max_retries=2)
        def flaky(self, good_try):
            try:
                if self.request.retries < good_try:
                    raise ValueError(good_try)
            except ValueError as exc:
                raise self.retry(exc=exc, countdown=0.05)
            return self.request.retries

        @shared_task
        def add(x, y):
            return x + y

        @shared_task(name="proj.tasks.mail_it")
        def mail_it(to):
            return f"sent to {to}"
    """,
    "client.py": """
        from proj.tasks import add, flaky, mail_it

        print(add.delay(1, 2).get(timeout=20))
        print(flaky.delay(2).get(timeout=20))
        print(mail_it.apply_async(("ann",)).get(timeout=20))
        try:
            flaky.delay(5).get(timeout=20)
        except ValueError as error:
            print(repr(error))
    """,
}


@pytest.fixture
def migrated(tmp_path: Path, redis_server: RedisServer) -> Iterator[Project]:
    """The application above, after the guide's command."""
    (tmp_path / "proj").mkdir()
    for project in projects(tmp_path, redis_server.url):
        for name, text in APPLICATION.items():
            project.write(name, text)
        (command,) = re.findall(r"^\$ (grep .*sed .*)$", GUIDE, re.M)
        subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True)
        yield project


def test_no_import_of_celery_is_left(migrated: Project) -> None:
    text = "\n".join((migrated.folder / name).read_text() for name in APPLICATION)

    assert re.findall(r"^\s*(?:from|import) celery\b", text, re.M) == []
    assert "from .celery import app" in text


def test_migrated_application_runs_unchanged(migrated: Project) -> None:
    worker = migrated.start(
        "-A", "proj", "worker", "-Q", "default,mail", "-c", "1", "-l", "INFO", "--without-gossip"
    )
    worker.says("worker_started")
    client = migrated.start_python("client.py")

    assert client.wait() == 0, client.output()
    assert client.output().splitlines() == ["3", "2", "sent to ann", "ValueError(5)"]
    worker.says("the hook saw ValueError(5)")
    assert "worker_prefetch_multiplier" in worker.output(), "what means nothing is named"
