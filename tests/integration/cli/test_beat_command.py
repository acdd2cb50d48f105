"""`windlass beat`, `worker -B` and `windlass schedules` as processes, on a real Redis."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import Project, projects
from redis_server import RedisServer
from waiting import eventually
from windlass import Windlass
from windlass.cli.main import main

JSON = {"WINDLASS_LOG_STYLE": "json"}
SHOP = """
    from windlass import Windlass
    from windlass.schedules import crontab

    app = Windlass("shop", backend="redis://", timezone="Europe/Paris")
    app.conf.beat_schedule = {
        "ping": {"task": "shop.ping", "schedule": 0.2, "args": ["x"]},
        "nightly": {"task": "shop.ping", "schedule": crontab(minute=0, hour=3), "args": ["y"]},
    }

    @app.task
    def ping(word):
        return word

    @app.on_after_configure.connect
    def declare(sender, **kwargs):
        sender.add_periodic_task(crontab(hour=4, minute=30), ping.s("code"), name="from-code")
"""


@pytest.fixture
def shop(tmp_path: Path, redis_server: RedisServer) -> Iterator[Project]:
    for project in projects(tmp_path, redis_server.url):
        project.write("shop.py", SHOP)
        yield project


@pytest.fixture
def client(shop: Project) -> Iterator[Windlass]:
    app = Windlass("client", broker=shop.broker, backend=shop.broker, set_as_current=False)
    yield app
    app.close()


def listed(shop: Project, *more: str) -> dict[str, dict]:
    done = shop.run("-b", shop.broker, "schedules", "list", "--json", *more)
    assert done.returncode == 0, done.stderr
    return {each["name"]: each for each in json.loads(done.stdout)}


def test_beat_declares_and_fires_and_says_goodbye(shop: Project, client: Windlass) -> None:
    beat = shop.start("-A", "shop", "beat", "--schedule", "celerybeat.db", env=JSON)
    beat.says("beat_lead_taken")
    beat.says("--schedule means nothing here: state is kept on the broker")
    eventually(lambda: client.schedules.get("ping").fired >= 3)
    beat.signal(signal.SIGTERM)

    assert beat.wait() == 0
    beat.says("beat_stopped")
    found = listed(shop)
    assert set(found) == {"from-code", "nightly", "ping"}
    assert found["nightly"]["entry"]["timing"] == "0 3 * * * (Europe/Paris)"
    assert found["from-code"]["entry"]["owner"] == "settings:shop"


def test_a_worker_with_beat_fires_and_runs_and_tells_how_runs_ended(
    shop: Project, client: Windlass
) -> None:
    worker = shop.start("-A", "shop", "worker", "-B", "-c", "1", env=JSON)
    worker.says("beat_lead_taken")
    eventually(lambda: client.schedules.get("ping").state == "SUCCESS")
    worker.signal(signal.SIGTERM)

    assert worker.wait() == 0
    schedule = client.schedules.get("ping")
    assert schedule.failures == 0
    assert schedule.succeeded_ms > 0


def test_an_entry_that_is_gone_from_the_settings_goes_from_the_broker(
    shop: Project, client: Windlass
) -> None:
    beat = shop.start("-A", "shop", "beat", env=JSON)
    beat.says("beat_lead_taken")
    client.schedules.add("run-time", "0 5 * * *", client.signature("shop.ping", ("y",)))
    beat.signal(signal.SIGTERM)
    beat.wait()
    shop.write("shop.py", SHOP.replace('"nightly"', '"weekly"'))
    shop.start("-A", "shop", "beat", env=JSON).says("beat_lead_taken")

    assert set(listed(shop)) == {"from-code", "ping", "run-time", "weekly"}


def test_schedules_are_steered_from_the_command_line(
    redis_server: RedisServer, client: Windlass, capsys: pytest.CaptureFixture[str]
) -> None:
    client.schedules.add("report", "0 5 * * *", client.signature("shop.ping", ("y",)))

    def run(*arguments: str, code: int = 0) -> str:
        assert main(["-b", redis_server.url, "schedules", *arguments]) == code
        return "".join(capsys.readouterr())

    assert run("pause", "report") == "report: paused\n"
    assert run("pause", "report") == "report: was paused already\n"
    assert "paused" in run()
    assert "Nothing is due" in run("next", "report")
    assert run("resume", "report") == "report: resumed\n"
    times = json.loads(run("next", "report", "-n", "3", "--json"))
    assert [each["at_ms"] for each in times] == [
        round(moment.timestamp() * 1000) for moment in client.schedules.next("report", 3)
    ]
    assert run("next").count("report") == 5
    task_id = run("trigger", "report").strip()
    assert client.AsyncResult(task_id).stage == "QUEUED"
    assert json.loads(run("show", "report"))["triggered"] == 1
    assert "There is no schedule 'repot'. Did you mean 'report'" in run("pause", "repot", code=1)
    assert run("remove", "report") == "report: removed\n"
    assert "No schedules yet" in run("list")


@pytest.mark.parametrize(
    ("command", "entry", "text"),
    [
        ("beat", '{"task": "shop.ping", "schedule": "0 25 * * *"}', "25 is out of range"),
        ("worker -B -P solo", '{"task": "shop.ping", "schedule": 5}', "argument: 'word'"),
    ],
    ids=["beat", "worker"],
)
def test_a_wrong_entry_is_an_error_at_start_that_shows_the_right_form(
    shop: Project, command: str, entry: str, text: str
) -> None:
    bad = SHOP.replace('{"task": "shop.ping", "schedule": 0.2, "args": ["x"]}', entry)
    shop.write("shop.py", bad)
    done = shop.run("-A", "shop", *command.split())

    assert done.returncode == 1
    assert "Schedule 'ping': " in done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_that_belongs_to_others_is_an_error_at_start(
    shop: Project, client: Windlass
) -> None:
    client.schedules.add("nightly", 60, client.signature("shop.ping", ("y",)))
    done = shop.run("-A", "shop", "beat")

    assert done.returncode == 1
    assert "'nightly' belongs to 'api' and cannot be changed by 'settings:shop'" in done.stderr
