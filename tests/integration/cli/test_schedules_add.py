"""`windlass schedules add`: declared and changed from the command line, on a real Redis."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from redis_server import RedisServer
from windlass import Windlass
from windlass.beat.record import Schedule
from windlass.beat.service import BeatService
from windlass.beat.timing import Cron, Every, Sun
from windlass.cli.main import main

Add = Callable[..., str]


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[Windlass]:
    app = Windlass(
        "shop",
        broker=redis_server.url,
        set_as_current=False,
        timezone="Europe/Paris",
        task_routes={"shop.report": "bulk"},
    )

    @app.task(name="shop.report")
    def report(day: int, full: bool = False) -> int:
        return day

    yield app
    app.close()


@pytest.fixture
def add(app: Windlass, capsys: pytest.CaptureFixture[str]) -> Add:
    def run(*arguments: str, code: int = 0) -> str:
        assert main(["schedules", "add", *arguments], app=app) == code
        return "".join(capsys.readouterr())

    return run


def kept(app: Windlass, name: str = "report") -> Schedule:
    return app.schedules.get(name)


def test_an_interval_and_its_call_are_added_and_shown(app: Windlass, add: Add) -> None:
    said = add("report", "--every", "5m", "--task", "shop.report", "--args", "[3]")

    assert said.startswith("report: created; next 20")
    schedule = kept(app)
    assert schedule.entry.timing == Every(300_000)
    assert (schedule.entry.task, schedule.entry.queue) == ("shop.report", "bulk")
    assert json.loads(schedule.entry.body)[:2] == [[3], {}]
    assert schedule.entry.owner == "api"


def test_every_option_of_an_entry_is_kept(app: Windlass, add: Add) -> None:
    add(
        "report", "--cron", "0  3 * * mon-fri", "-t", "shop.report", "-a", "[3]",
        "-k", '{"full": true}', "-Q", "mail", "--priority", "9", "--expires", "1h",
        "--countdown", "5s", "--timezone", "Asia/Tokyo", "--catch-up", "all",
        "--starting-deadline", "10m", "--overlap", "forbid", "--jitter", "30s",
        "--start", "2037-01-31T06:00", "--end", "2038-01-31T06:00", "--max-runs", "4", "--paused",
    )  # fmt: skip

    schedule = kept(app)
    entry = schedule.entry
    assert entry.timing == Cron("0 3 * * mon-fri", "Asia/Tokyo")
    assert json.loads(entry.body)[:2] == [[3], {"full": True}]
    assert (entry.queue, entry.priority) == ("mail", 9)
    assert (entry.ttl_ms, entry.delay_ms) == (3_600_000, 5_000)
    assert (entry.catch_up, entry.overlap) == ("all", "Forbid")
    assert (entry.starting_deadline_s, entry.jitter_s, entry.max_runs) == (600.0, 30.0, 4)
    assert (entry.start_ms, entry.end_ms) == (2_116_962_000_000, 2_148_498_000_000)
    assert schedule.is_paused


def test_the_same_name_again_changes_it_and_says_so(app: Windlass, add: Add) -> None:
    first = ("report", "--every", "5m", "--task", "shop.report", "--args", "[3]")
    add(*first)
    uid = kept(app).uid

    assert add(*first).startswith("report: unchanged; next ")
    changed = ("report", "--every", "1h", "--relative", "--task", "shop.report", "--args", "[4]")
    assert add(*changed).startswith("report: changed; next ")
    schedule = kept(app)
    assert schedule.uid == uid
    assert schedule.entry.timing == Every(3_600_000, True, "Europe/Paris")
    assert json.loads(schedule.entry.body)[0] == [4]


def test_the_sun_south_of_the_equator(app: Windlass, add: Add) -> None:
    add("report", "--solar", "sunset", "-33.9", "151.2", "--task", "shop.report", "-a", "[1]")

    assert kept(app).entry.timing == Sun("sunset", -33.9, 151.2)


def test_without_an_app_the_task_goes_by_name(
    redis_server: RedisServer, app: Windlass, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["-b", redis_server.url, "schedules", "add", "x", "--every", "30s", "-t", "other.task"]
    assert main(line) == 0

    assert capsys.readouterr().err == ""
    assert kept(app, "x").entry.queue == "default"


def test_a_task_that_the_app_does_not_know_is_added_with_a_warning(app: Windlass, add: Add) -> None:
    said = add("report", "--every", "30s", "--task", "shop.raport")

    assert "Task 'shop.raport' is not known here. Did you mean 'shop.report'?" in said
    assert kept(app).entry.task == "shop.raport"


def test_a_schedule_that_the_settings_declare_is_not_changed_here(app: Windlass, add: Add) -> None:
    app.conf.beat_schedule = {"report": {"task": "shop.report", "schedule": 60, "args": (1,)}}
    BeatService(app, app.broker).declare()
    said = add("report", "--every", "30s", "--task", "shop.report", "-a", "[3]", code=1)

    assert "'report' belongs to 'settings:shop' and cannot be changed by 'api'" in said
    assert "Change it where it is declared, or use another name." in said
    assert kept(app).entry.timing == Every(60_000)


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        ((), 2, "--cron \"0 3 * * mon-fri\""),
        (("--every", "30s", "--cron", "0 3 * * *"), 2, "several was given"),
        (("--every", "soon"), 2, "Expected e.g. 90, 45s, 30m"),
        (("--every", "0.01"), 1, "expected at least 0.1 s"),
        (("--cron", "0 25 * * *"), 1, "25 is out of range"),
        (("--cron", "0 3 * *"), 1, "e.g. '0 3 * * mon-fri'"),
        (("--cron", "0 3 * * *", "--relative"), 2, "--every 1h --relative"),
        (("--cron", "0 3 * * *", "--timezone", "Paris"), 1, "such as 'UTC' or 'Europe/Paris'"),
        (("--solar", "noon", "1", "2"), 1, "solar_noon"),
        (("--every", "30s", "--args", "3"), 2, "Expected e.g. [1, 2]"),
        (("--every", "30s", "--args", "[]"), 1, "'day'"),
        (("--every", "30s", "--overlap", "never"), 2, "'forbid'"),
        (("--every", "30s", "--start", "soon"), 1, "such as '2027-01-31T06:00'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_right_form(
    app: Windlass, add: Add, line: tuple[str, ...], code: int, text: str
) -> None:
    arguments = () if "--args" in line else ("--args", "[3]")
    said = add("report", "--task", "shop.report", *arguments, *line, code=code)

    assert text in said
    assert app.schedules.all() == []
