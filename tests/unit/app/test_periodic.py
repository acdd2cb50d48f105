"""How an app declares periodic tasks, and what becomes of it: entries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from windlass import Windlass
from windlass.beat.declared import entries_of
from windlass.beat.entry import CatchUp, Entry, Overlap
from windlass.beat.timing import Cron, Every, Sun
from windlass.canvas import chain
from windlass.contrib.testing.worker import start_worker
from windlass.errors import ConfigurationError, ScheduleError
from windlass.schedules import crontab, schedule, solar


def make_app(**entries: object) -> Windlass:
    app = Windlass("shop", broker="memory://periodic", set_as_current=False)
    app.conf.beat_schedule = entries

    @app.task(name="shop.add", queue="sums")
    def add(x: int, y: int = 0) -> int:
        return x + y

    return app


def only(app: Windlass) -> Entry:
    (entry,) = entries_of(app)
    return entry


def call(**rest: object) -> dict[str, object]:
    return {"task": "shop.add", "schedule": 30, "args": (1,), **rest}


@pytest.mark.parametrize(
    ("given", "timing"),
    [
        (30, Every(30_000)),
        (timedelta(minutes=2), Every(120_000)),
        (schedule(60, relative=True), Every(60_000, True, "UTC")),
        (crontab(minute=0, hour=[4, 2]), Cron("0 2,4 * * *")),
        (crontab(minute="*/5, 1", day_of_week="mon-fri"), Cron("*/5,1 * * * mon-fri")),
        ("0  3 * * *", Cron("0 3 * * *")),
        (solar("sunset", 1, 2), Sun("sunset", 1, 2)),
    ],
)
def test_every_kind_of_schedule_becomes_data(given: object, timing: object) -> None:
    assert only(make_app(a=call(schedule=given))).timing == timing


def test_celerys_keys_and_ours_are_read() -> None:
    app = make_app(
        a=call(
            kwargs={"y": 2},
            options={"queue": "bulk", "priority": 7, "expires": 90, "countdown": 5},
            schedule="0 3 * * *",
            timezone=ZoneInfo("Asia/Tokyo"),
            catch_up="all",
            starting_deadline=timedelta(minutes=10),
            overlap="forbid",
            jitter=2.5,
            start=datetime(2027, 1, 1),
            end="2027-06-01T00:00",
            max_runs=3,
        )
    )
    entry = only(app)

    assert (entry.queue, entry.priority, entry.ttl_ms, entry.delay_ms) == ("bulk", 7, 90_000, 5000)
    assert entry.body == b'[[1],{"y":2},{}]'
    assert entry.timing == Cron("0 3 * * *", "Asia/Tokyo")
    assert (entry.catch_up, entry.overlap) == (CatchUp.ALL, Overlap.FORBID)
    assert (entry.starting_deadline_s, entry.jitter_s, entry.max_runs) == (600, 2.5, 3)
    # A time without a zone is meant in the entry's.
    assert entry.start_ms == datetime(2026, 12, 31, 15, tzinfo=UTC).timestamp() * 1000
    assert entry.owner == "settings:shop"


def test_routes_and_the_tasks_own_queue_apply_as_for_any_call() -> None:
    assert only(make_app(a=call())).queue == "sums"


def test_the_apps_zone_and_deadline_are_the_default() -> None:
    app = make_app(a=call(schedule=crontab(minute=0)), b=call())
    app.conf.update(timezone="Europe/Paris", beat_cron_starting_deadline=20)
    cron, every = entries_of(app)

    assert cron.timing == Cron("0 * * * *", "Europe/Paris")
    assert (cron.starting_deadline_s, every.starting_deadline_s) == (20, None)
    app.close()
    app.conf.update(timezone=None, enable_utc=False)
    assert entries_of(app)[0].timing == Cron("0 * * * *", "local")


def test_two_processes_declare_the_same() -> None:
    assert entries_of(make_app(a=call())) == entries_of(make_app(a=call()))
    assert only(make_app(a=call())).headers.origin is None


def test_tasks_are_added_in_code_when_the_app_is_configured() -> None:
    app = make_app()

    @app.on_after_configure.connect
    def declare(sender: Windlass, **_: object) -> None:
        add = sender.tasks["shop.add"]
        sender.add_periodic_task(10, add.s(1, 2), name="named", expires=5, jitter=1)
        sender.add_periodic_task(crontab(), add, args=(3,))

    named, other = entries_of(app)
    assert (named.name, named.ttl_ms, named.jitter_s) == ("named", 5000, 1)
    assert named.body == b"[[1,2],{},{}]"
    assert other.name == "shop.add(3)"


def test_a_workflow_is_sent_by_a_task_that_every_worker_has() -> None:
    app = Windlass("shop", broker="memory://flow", backend="memory://", set_as_current=False)

    @app.task(name="shop.add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    with start_worker(app):
        app.schedules.add("flow", "0 0 1 1 *", chain(add.s(1, 2), add.s(4)))
        workflow_id = app.schedules.trigger("flow").get(timeout=20)
        assert app.AsyncResult(workflow_id).get(timeout=20) == 7
    assert app.schedules.get("flow").state == "SUCCESS"
    app.close()


def test_what_a_receiver_raises_is_an_error_at_start() -> None:
    app = make_app()

    @app.on_after_configure.connect
    def declare(sender: Windlass, **_: object) -> None:
        sender.add_periodic_task(crontab(hour=24), sender.tasks["shop.add"].s(1))

    with pytest.raises(ConfigurationError, match="24 is out of range"):
        app.finalize()


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (3, "it is 3. Expected {'task': "),
        ({"schedule": 3}, "it has no 'task'"),
        (call(schedule=True), "its schedule is True"),
        (call(schedule=crontab(nowfun=datetime.now)), "nowfun cannot be kept.*'timezone'"),
        (call(shedule=3), "unknown key 'shedule'. Did you mean 'schedule'"),
        (call(overlap="never"), "overlap is 'never'; expected one of: Allow, Forbid, Replace"),
        (call(catch_up=1), "expected one of: none, one, all"),
        (call(jitter="5"), "jitter is '5'; expected seconds"),
        (call(start="soon"), "start is 'soon'; expected a datetime"),
        (call(options={"eta": datetime.now(UTC)}), "'eta' makes no sense"),
        (call(options={"expires": datetime.now(UTC)}), "'expires' is a time"),
        (call(options={"queu": "x"}), "queu"),
        (call(args=(1, 2, 3)), "too many positional arguments"),
        (call(args=(object(),)), "object"),
    ],
)
def test_a_wrong_entry_is_refused_in_words_with_its_name(entry: object, text: str) -> None:
    app = Windlass("shop", broker="memory://periodic", set_as_current=False)
    app.task(name="shop.add")(lambda x, y=0: x + y)
    app.add_periodic_task(1, app.tasks["shop.add"], name="wrong")
    app._periodic_tasks["wrong"] = entry  # type: ignore[assignment]  # also what is no mapping

    with pytest.raises(ScheduleError, match=rf"(?s)Schedule 'wrong'.*{text}"):
        entries_of(app)


def test_schedules_are_changed_at_run_time_from_python() -> None:
    with make_app() as app:
        add = app.tasks["shop.add"]
        made = app.schedules.add("sum", 30, add.s(1), overlap="Forbid")
        assert made.entry.owner == "api"
        assert app.schedules.pause("sum")
        assert app.schedules.get("sum").is_paused
        assert app.schedules.resume("sum")
        changed = app.schedules.add("sum", 60, add.s(2))
        assert (changed.uid, changed.generation) == (made.uid, 4)
        assert app.schedules.trigger("sum").stage == "QUEUED"
        assert len(app.schedules.next("sum", 3)) == 3
        assert [each.entry.name for each in app.schedules.all()] == ["sum"]
        assert app.schedules.remove("sum")
        with pytest.raises(ScheduleError, match="None is declared yet"):
            app.schedules.get("sum")
