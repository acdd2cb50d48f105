"""The outbox of a Django project, in a process of its own: Django is configured once a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from redis_server import RedisServer
from windlass import Windlass
from windlass.brokers.base import FetchRequest

PROGRAM = Path(__file__).parents[2] / "support" / "django_outbox_shop.py"


def test_rows_of_committed_transactions_are_sent_and_no_others(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    database = tmp_path / "shop.sqlite"
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), str(database), redis_server.url],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert said == {"sent": said["sent"], "published": 2, "set_aside": True, "left": 0}

    with Windlass("shop", broker=redis_server.url, set_as_current=False) as app:
        request = FetchRequest(worker_id="w", queues=("default",), want=9, lease_ms=60_000)
        fetched = app.broker.exchange([], request)[1]
    assert fetched is not None
    assert [each.id for each in fetched.deliveries] == said["sent"]


def test_the_command_takes_djangos_database(redis_server: RedisServer, tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text(
        "INSTALLED_APPS = ['windlass.contrib.django_outbox']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'site.sqlite'}}\n"
    )
    env = {**os.environ, "PYTHONPATH": ".", "DJANGO_SETTINGS_MODULE": "site_settings"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path, env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip

    run("django", "migrate", "-v0")

    ran = run("windlass", "outbox", "relay", "--django", "--once", "-b", redis_server.url)
    assert ran.stdout == "0 published\n"
