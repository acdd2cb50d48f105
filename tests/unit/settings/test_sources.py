"""Settings from modules, classes, objects, mappings and their names; Celery's old spellings."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from repository import ROOT
from windlass.errors import ConfigurationError
from windlass.settings import celery_names
from windlass.settings.model import NAMES
from windlass.settings.sources import from_object, load_object

MODULE = """
from __future__ import annotations
import os
from datetime import timedelta

_helper = "left out"
DEBUG = True
result_expires = timedelta(hours=2)
task_routes = {"feed.*": "feeds"}


def route(name, args, kwargs, options, task=None):
    return None


class Nested:
    keyspace = "nested"
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "settings_of_the_test"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    del sys.modules[name]
    return name


class Legacy:
    task_serializer = "msgpack"
    worker_concurrency = 2


def test_module_name_module_class_object_and_mapping_all_work(module: str) -> None:
    expected = {"result_expires", "task_routes"}

    assert expected == from_object(module).keys()
    assert expected == from_object(load_object(module)).keys()
    assert from_object(f"{module}:Nested") == {"keyspace": "nested"}
    assert from_object(f"{module}.Nested") == {"keyspace": "nested"}
    assert from_object(Legacy) == {"task_serializer": "msgpack", "worker_concurrency": 2}
    assert from_object(Legacy()) == {"task_serializer": "msgpack", "worker_concurrency": 2}
    assert from_object({"keyspace": "x"}) == {"keyspace": "x"}


def test_what_a_module_imports_and_defines_is_no_setting(module: str) -> None:
    assert not {"os", "timedelta", "route", "Nested", "DEBUG"} & from_object(module).keys()


def test_unknown_name_in_an_object_is_an_error_with_the_nearest_and_a_way_out() -> None:
    class Settings:
        task_serialiser = "json"

    with pytest.raises(ConfigurationError, match=r"Did you mean 'task_serializer'.*underscore"):
        from_object(Settings)
    with pytest.raises(ConfigurationError, match="'NOT_A_SETTING'"):
        from_object({"NOT_A_SETTING": 1})


def test_namespace_reads_prefixed_upper_case_names_only() -> None:
    django = types.SimpleNamespace(
        CELERY_TASK_SERIALIZER="msgpack",
        CELERY_BROKER_URL="redis://host",
        CELERY_WORKER_PREFETCH_MULTIPLIER=1,
        DATABASES={},
        task_serializer="pickle",
    )

    found = from_object(django, namespace="CELERY")

    assert found == {
        "task_serializer": "msgpack",
        "broker_url": "redis://host",
        "worker_prefetch_multiplier": 1,
    }
    assert found == from_object(django, namespace="CELERY_")


def test_unknown_name_in_a_namespace_is_spelled_as_its_user_spells() -> None:
    with pytest.raises(
        ConfigurationError, match=r"'CELERY_TASK_SERIALISER'.*'CELERY_TASK_SERIALIZER'"
    ):
        from_object({"CELERY_TASK_SERIALISER": "json"}, namespace="CELERY")


@pytest.mark.parametrize(
    ("old", "modern"),
    [
        ("BROKER_URL", "broker_url"),
        ("CELERY_RESULT_BACKEND", "result_backend"),
        ("CELERY_TASK_RESULT_EXPIRES", "result_expires"),
        ("CELERYD_CONCURRENCY", "worker_concurrency"),
        ("CELERYD_TASK_TIME_LIMIT", "task_time_limit"),
        ("CELERYD_PREFETCH_MULTIPLIER", "worker_prefetch_multiplier"),
        ("CELERY_ROUTES", "task_routes"),
        ("CELERY_ALWAYS_EAGER", "task_always_eager"),
        ("CELERY_ACKS_LATE", "task_acks_late"),
        ("CELERY_IMPORTS", "imports"),
        ("CELERYBEAT_SCHEDULE", "beat_schedule"),
        ("CELERY_TIMEZONE", "timezone"),
        ("CELERYD_MAX_TASKS_PER_CHILD", "worker_max_tasks_per_child"),
        ("CELERY_EAGER_PROPAGATES_EXCEPTIONS", "task_eager_propagates"),
    ],
)
def test_old_upper_case_name_is_an_error_with_the_lower_case_one(old: str, modern: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{old} .*Expected {modern};.*namespace='CELERY'"):
        from_object({old: "x"})
    with pytest.raises(ConfigurationError, match=f"Expected {modern};"):
        from_object(types.SimpleNamespace(**{old: "x"}))


@pytest.mark.parametrize(
    "path",
    ["no_such_module_here", "windlass.no_such", "windlass:no_such", "windlass.states:no.such"],
)
def test_name_that_leads_nowhere_is_an_error_that_names_it(path: str) -> None:
    with pytest.raises(ConfigurationError, match=f"'{path}'.*Expected the name of a module"):
        load_object(path)


def test_failing_import_inside_a_named_module_is_shown_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings_with_bad_import.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        load_object("settings_with_bad_import")


def test_every_celery_setting_has_its_word() -> None:
    """Celery's own list of settings: each is supported, reported or refused with advice."""
    names = (ROOT / "docs" / "celery_settings.txt").read_text().splitlines()[1:]

    assert set() == {name for name in names if not celery_names.is_known(name)}


def test_no_setting_is_both_supported_and_not() -> None:
    assert set() == NAMES & celery_names.MEANINGLESS.keys()
    assert set() == {name for name in NAMES if celery_names.refusal(name)}
    assert set() == celery_names.MEANINGLESS.keys() & celery_names.REFUSED.keys()
