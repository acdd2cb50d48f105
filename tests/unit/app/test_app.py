"""The app's life: configuration, finalisation, discovery, connections; statements 49 and 50."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from windlass import Windlass
from windlass.errors import ConfigurationError

WriteModules = Callable[[dict[str, str]], None]


def test_arguments_are_settings_and_say_so() -> None:
    app = Windlass("x", broker="redis://a", backend="redis://", include=["m"], keyspace="shop")

    assert (app.conf.broker_url, app.conf.result_backend) == ("redis://a", "redis://")
    assert (app.conf.include, app.conf.keyspace) == (("m",), "shop")
    assert app.conf.origin("broker_url") == "argument broker="
    assert app.conf.origin("keyspace") == "argument keyspace="


def test_environment_wins_over_arguments_and_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_BROKER_URL", "redis://from-environment")
    app = Windlass(broker="redis://argument")
    monkeypatch.setenv("WINDLASS_BROKER_URL", "redis://too-late")

    assert app.conf.broker_url == "redis://from-environment"


def test_default_content_is_json_alone() -> None:
    """Statement 49: pickle is opt-in, and results follow accept_content unless told otherwise."""
    conf = Windlass().conf

    assert conf.accept_content == {"json"}
    assert conf.result_accept_content is None


def test_config_from_object_takes_django_settings_by_namespace(write_modules: WriteModules) -> None:
    write_modules(
        {"django_like.py": "DEBUG = True\nCELERY_TASK_ALWAYS_EAGER = True\nCELERY_TIMEZONE = 'UTC'"}
    )
    app = Windlass("proj")

    app.config_from_object("django_like", namespace="CELERY")

    assert app.conf.task_always_eager
    assert app.conf.origin("timezone") == "config_from_object('django_like')"


def test_settings_module_may_import_the_app(write_modules: WriteModules) -> None:
    """Celery's usual layout: the app names the module, and the module needs the app."""
    write_modules(
        {
            "circular_app.py": """
                from windlass import Windlass
                app = Windlass("circular")
                app.config_from_object("circular_conf")
                """,
            "circular_conf.py": """
                from circular_app import app as _app
                keyspace = _app.main
                """,
        }
    )
    import circular_app

    assert circular_app.app.conf.keyspace == "circular"


def test_config_source_argument_and_environment_variable(
    write_modules: WriteModules, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_modules({"conf_by_name.py": "keyspace = 'named'"})
    monkeypatch.setenv("APP_CONFIG", "conf_by_name")
    app = Windlass()

    assert Windlass(config_source="conf_by_name").conf.keyspace == "named"
    assert app.config_from_envvar("APP_CONFIG")
    assert app.conf.keyspace == "named"
    assert not app.config_from_envvar("NOT_SET", silent=True)
    with pytest.raises(ConfigurationError, match="NOT_SET is not set"):
        app.config_from_envvar("NOT_SET")
    with pytest.raises(ConfigurationError, match="'no_such_conf'"):
        app.config_from_object("no_such_conf", force=True)
    app.config_from_object("no_such_conf", silent=True)
    assert app.conf.keyspace == "named"


def test_finalize_imports_task_modules_once_and_fixes_the_settings(
    write_modules: WriteModules,
) -> None:
    write_modules(
        {
            "fin_app.py": """
                from windlass import Windlass
                app = Windlass("fin", include=["fin_b"], imports=["fin_a"])
                order = []
                """,
            "fin_a.py": "from fin_app import app, order\norder.append('a')\n"
            "@app.task\ndef a(): assert app.finalized",
            "fin_b.py": "from fin_app import app, order\norder.append('b')\n"
            "@app.task\ndef b(): ...",
        }
    )
    import fin_app

    app = fin_app.app
    assert not app.finalized
    assert app.tasks == {}

    app.finalize()
    app.finalize()

    assert fin_app.order == ["a", "b"]
    assert set(app.tasks) == {"fin_a.a", "fin_b.b"}
    with pytest.raises(ConfigurationError, match="Cannot change keyspace"):
        app.conf.keyspace = "late"


def test_finalize_says_what_cannot_be_imported_and_may_be_tried_again(
    write_modules: WriteModules,
) -> None:
    missing = Windlass(imports=["no_such_tasks"])
    with pytest.raises(ConfigurationError, match="Setting imports names module 'no_such_tasks'"):
        missing.finalize()
    assert not missing.finalized
    assert not missing.conf.frozen

    write_modules({"broken_tasks.py": "import no_such_dependency"})
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        Windlass(include=["broken_tasks"]).finalize()


def test_finalize_finds_a_bad_route() -> None:
    app = Windlass(task_routes={"a": {"quue": "x"}})

    with pytest.raises(ConfigurationError, match="Did you mean 'queue'"):
        app.finalize()


PACKAGES = {
    "shop/__init__.py": "",
    "shop/tasks.py": """
        from windlass import shared_task
        @shared_task
        def charge(): ...
        """,
    "shop/jobs.py": "from windlass import shared_task\n@shared_task\ndef job(): ...",
    "blog/__init__.py": "",
    "blog/apps.py": "class BlogConfig: ...",
    "blog/tasks.py": "from windlass import shared_task\n@shared_task\ndef publish(): ...",
    "bare/__init__.py": "",
    "single.py": "",
}


def test_autodiscovery_waits_for_finalisation_and_passes_over_what_has_no_tasks(
    write_modules: WriteModules,
) -> None:
    write_modules(PACKAGES)
    app = Windlass()

    app.autodiscover_tasks(["shop", "bare", "single"])
    app.autodiscover_tasks(lambda: ["blog.apps.BlogConfig"])
    assert app.tasks == {}

    app.finalize()
    assert set(app.tasks) == {"shop.tasks.charge", "blog.tasks.publish"}

    app.autodiscover_tasks(["shop"], related_name="jobs")
    assert "shop.jobs.job" in app.tasks


def test_autodiscovery_by_force_happens_at_once(write_modules: WriteModules) -> None:
    write_modules(PACKAGES)
    app = Windlass()

    app.autodiscover_tasks(["shop"], force=True)

    assert "shop.tasks.charge" in app.tasks
    assert not app.finalized


def test_autodiscovery_shows_errors_inside_tasks_and_unknown_packages(
    write_modules: WriteModules,
) -> None:
    write_modules(
        {
            "bad/__init__.py": "",
            "bad/tasks.py": "import no_such_dependency",
            "worse/__init__.py": "import no_such_dependency",
        }
    )
    app = Windlass()

    for package in ("bad", "worse"):
        with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
            app.autodiscover_tasks([package], force=True)
    with pytest.raises(ConfigurationError, match="package 'no_such_package'"):
        app.autodiscover_tasks(["no_such_package"], force=True)


def test_autodiscovery_without_packages_takes_djangos_installed_apps(
    write_modules: WriteModules, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statement 50, with a stand-in for Django: only its documented registry is used."""
    write_modules(
        {
            **PACKAGES,
            "django/__init__.py": """
                from django import apps
                def setup():
                    apps.apps.ready = True
                """,
            "django/apps.py": """
                from types import SimpleNamespace
                class Apps:
                    ready = False
                    def get_app_configs(self):
                        assert self.ready
                        return [SimpleNamespace(name="shop"), SimpleNamespace(name="bare")]
                apps = Apps()
                """,
        }
    )
    app = Windlass()
    app.autodiscover_tasks()

    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    with pytest.raises(ConfigurationError, match="DJANGO_SETTINGS_MODULE is not set"):
        app.finalize()

    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "proj.settings")
    app.finalize()
    assert set(app.tasks) == {"shop.tasks.charge"}


def test_app_without_broker_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Windlass(backend="redis://")

    for use in (lambda: app.broker, lambda: app.backend, app.new_broker):
        with pytest.raises(ConfigurationError, match=r"No broker.*broker='redis.*WINDLASS_BROKER"):
            use()

    monkeypatch.setenv("CELERY_BROKER_URL", "redis://h")
    with pytest.raises(ConfigurationError, match=r"CELERY_BROKER_URL is set .* rename it"):
        _ = app.broker


@pytest.mark.parametrize("url", ["amqp://guest@host", "sqs://", "memory:", "localhost:6379"])
def test_broker_that_is_not_supported_is_named_without_its_password(url: str) -> None:
    app = Windlass(broker=url.replace("guest", "guest:s3cret"))

    with pytest.raises(ConfigurationError, match="Expected an address that starts with") as caught:
        _ = app.broker
    assert "s3cret" not in str(caught.value)


def test_results_are_off_unless_a_backend_is_set() -> None:
    for backend in (None, "disabled://", "cache+disabled://"):
        assert Windlass(broker="redis://h", backend=backend).backend is None


def test_time_zone_of_the_app() -> None:
    assert Windlass().timezone is UTC
    assert Windlass(timezone="Europe/Paris").timezone == ZoneInfo("Europe/Paris")
    assert Windlass(timezone="Europe/Paris").now().utcoffset() in (
        timedelta(hours=1),
        timedelta(hours=2),
    )


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Paris")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("paris")
def test_without_utc_the_time_zone_is_the_machines_in_summer_and_winter() -> None:
    local = Windlass(enable_utc=False).timezone
    zone = ZoneInfo("Europe/Paris")

    for month in range(1, 13):
        moment = datetime(2026, month, 15, 12, tzinfo=UTC)
        assert moment.astimezone(local).isoformat() == moment.astimezone(zone).isoformat()
        assert datetime(2026, month, 15, tzinfo=local).timestamp() == (
            datetime(2026, month, 15, tzinfo=zone).timestamp()
        )
    for minute in (0, 60, 90):  # 2 o'clock comes twice on this day
        moment = datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(minutes=minute)
        assert moment.astimezone(local).isoformat() == moment.astimezone(zone).isoformat()
    assert Windlass(enable_utc=False, timezone="UTC").timezone == ZoneInfo("UTC")


def test_eager_apps_need_no_broker() -> None:
    app = Windlass(task_always_eager=True)

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    assert app.send_task("add", (1, 2)).get() == 3
    assert [result.get() for result in app.send_many([add.s(1, 2), add.s(3, 4)])] == [3, 7]


async def test_eager_apps_need_no_broker_in_async_code_either() -> None:
    app = Windlass(task_always_eager=True)

    @app.task(name="add")
    async def add(x: int, y: int) -> int:
        return x + y

    assert (await app.asend_task("add", (1, 2))).get() == 3
    assert [result.get() for result in await app.asend_many([add.s(1, 2)])] == [3]


def test_send_task_refuses_arguments_of_the_wrong_kind() -> None:
    with pytest.raises(TypeError, match="args must be a list or a tuple"):
        Windlass(broker="redis://h").send_task("add", 1)  # type: ignore[arg-type]


def test_signature_is_bound_to_its_app() -> None:
    app = Windlass()
    Windlass("newer")

    assert app.signature("shop.add", (1, 2)).app is app


def test_importing_windlass_stays_light() -> None:
    """The client path: no Redis, no command line, no metrics, no HTTP, no structlog."""
    heavy = ["redis", "hiredis", "click", "prometheus_client", "structlog", "http.server"]
    code = (
        "import sys; from windlass import Windlass, shared_task; app = Windlass('x', broker='redis://h')\n"
        "app.task(lambda: None, name='t')\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
