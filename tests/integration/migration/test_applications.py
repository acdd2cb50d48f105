"""Three applications written for Celery run on Windlass after nothing but a search-and-replace.

Their sources are in `apps`, and know nothing of Windlass: what Flask's and Django's documentation
recommend, and a script. `celery` becomes `windlass` by the one command of the migration guide.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from redis_server import RedisServer
from repository import ROOT

APPS = Path(__file__).parent / "apps"
GUIDE = (ROOT / "docs" / "how-to" / "migrate-from-celery.md").read_text()


class Migrated:
    """A copy of an application, after the command; the broker is where it looks for it."""

    def __init__(self, name: str, project: Project, url: str) -> None:
        self.project = project
        self.env = {"BROKER_URL": url}
        shutil.copytree(APPS / name, project.folder, dirs_exist_ok=True)
        (command,) = re.findall(r"^\$ (grep .*sed .*)$", GUIDE, re.M)
        subprocess.run(["bash", "-ec", command], cwd=project.folder, check=True)

    def start_worker(self, *flags: str) -> str:
        worker = self.project.start(*flags, "-c", "2", "-l", "INFO", env=self.env)
        self.worker = worker
        return worker.says("worker_started")

    def run(self, *arguments: str) -> list[str]:
        """Run a script of the application; returns the lines it printed."""
        running = self.project.start_python(*arguments, env=self.env)
        assert running.wait(60) == 0, running.output() + self.worker_log()
        return running.output().splitlines()

    def worker_log(self) -> str:
        return self.worker.output()[-4000:] if hasattr(self, "worker") else ""


@pytest.fixture
def project(tmp_path: Path, redis_server: RedisServer) -> Iterator[Project]:
    yield from projects(tmp_path)


def test_flask_application_runs(project: Project, redis_url: str) -> None:
    app = Migrated("flask_shop", project, redis_url)
    app.start_worker("-A", "make_celery", "worker")

    assert app.run("client.py") == ["3 EUR", "{'current': 3, 'total': 3}", "True"]
    app.worker.says("processed 3")


def test_django_application_runs(project: Project, redis_url: str) -> None:
    app = Migrated("django_site", project, redis_url)
    app.run("manage.py", "migrate", "-v0")
    said = app.start_worker("-A", "site_of_books", "worker", "-Q", "default,counting", "-E")

    assert "worker_prefetch_multiplier" in said
    assert app.run("client.py") == [
        "1",
        "{'title': 'Moby-Dick', 'copies': 3}",
        "None",
        "DoesNotExist",
        "{'title': 'Omoo', 'copies': 6}",
    ]


def test_script_runs(project: Project, redis_url: str) -> None:
    app = Migrated("script", project, redis_url)
    app.start_worker("-A", "tasks", "worker", "--without-mingle")

    assert app.run("tasks.py") == [
        "4",
        "5",
        "3",
        "3",
        "4",
        "cleaned up",
        "HALFWAY {'done': 50}",
        "KeyError('missing')",
        "SUCCESS 2",
        "REVOKED",
        "['tasks.add', 'tasks.fail']",
    ]
    for said in ("ready: windlass@", "success 1 of tasks.flaky", "failed: KeyError('missing')"):
        app.worker.says(said)
    app.worker.says("signal of tasks.fail: KeyError('missing')")


@pytest.mark.parametrize("name", ["flask_shop", "django_site", "script"])
def test_sources_know_nothing_of_windlass(name: str) -> None:
    texts = {path: path.read_text() for path in (APPS / name).rglob("*.py")}

    assert [path for path, text in texts.items() if "windlass" in text.lower()] == []
    assert any("from celery import" in text for text in texts.values())
