"""`app.conf`: reading, changing, layers and their origins, errors that name the fix."""

from __future__ import annotations

import re
import sys
import threading
import types
from collections.abc import Callable
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from windlass.errors import ConfigurationError
from windlass.settings import Conf
from windlass.settings.conf import TOGGLES


def make_conf(environ: dict[str, str] | None = None, **arguments: object) -> Conf:
    return Conf(arguments, environ=environ or {})


def test_settings_read_the_same_as_attribute_and_as_item() -> None:
    conf = make_conf()

    conf.task_serializer = "msgpack"
    conf["task_default_queue"] = "bulk"

    assert (conf.task_serializer, conf["task_serializer"]) == ("msgpack", "msgpack")
    assert conf.task_default_queue == "bulk"
    assert conf.get("no_such_setting", "fallback") == "fallback"
    assert "task_serializer" in dict(conf)


def test_unknown_setting_is_an_error_that_names_the_nearest() -> None:
    conf = make_conf()

    with pytest.raises(ConfigurationError, match=r"'task_serialiser'.*Did you mean 'task_serial"):
        conf.task_serialiser = "json"
    with pytest.raises(ConfigurationError, match="Did you mean 'worker_concurrency'"):
        conf.update(worker_concurency=4)
    with pytest.raises(ConfigurationError, match="Did you mean 'result_backend'"):
        make_conf(result_backendd="redis://")
    with pytest.raises(AttributeError, match="Did you mean 'task_routes'"):
        _ = conf.task_route
    with pytest.raises(KeyError):
        _ = conf["task_route"]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("worker_concurrency", "many", "expected a valid integer"),
        ("worker_concurrency", 0, "expected greater than or equal to 1"),
        ("worker_pool", "greenlets", "expected 'prefork', 'threads', 'asyncio' or 'solo'"),
        ("worker_pool", "gevent", "expected 'asyncio'"),
        ("task_serializer", "yaml", "Expected one of: json, msgpack, pickle"),
        ("accept_content", ["yaml"], "Expected one of: json, msgpack, pickle"),
        ("task_compression", "bzip2", "Expected zlib (gzip) or zstd. They gain little"),
        ("task_default_priority", 10, "less than or equal to 9"),
        ("task_default_queue", "my queue", "Queue name 'my queue' is not usable"),
        ("task_queues", ["ok", "not ok"], "Queue name 'not ok' is not usable"),
        ("task_time_limit", -1, "greater than 0"),
        ("task_time_limit", float("inf"), "finite"),
        ("result_expires", "soon", "valid number"),
        ("task_max_size_bytes", 10, "greater than or equal to 1024"),
        ("timezone", "Europe/Atlantis", "IANA time zone"),
        ("timezone", "../../etc/passwd", "IANA time zone"),
        ("keyspace", "a{b}", "letters, digits"),
        ("keyspace", "", "1 to 63"),
        ("task_routes", 7, "expected a mapping, a function"),
        ("task_publish_retry_policy", {"max_retry": 1}, "unknown key 'max_retry'"),
        ("task_publish_retry_policy", {"interval_max": None}, "at least 0"),
        ("task_default_rate_limit", "10/day", "a count and a unit: '10/s'"),
        ("task_always_eager", "perhaps", "valid boolean"),
        ("broker_url", "", "at least 1 character"),
    ],
)
def test_ill_typed_setting_is_an_error_that_names_setting_value_origin_and_expectation(
    name: str, value: object, expected: str
) -> None:
    conf = make_conf()
    before = conf.current

    with pytest.raises(ConfigurationError, match=re.escape(expected)) as caught:
        conf.update({name: value})

    assert f"Setting {name} is {value!r} (conf.update)" in str(caught.value)
    assert before is conf.current


def test_update_changes_all_or_nothing() -> None:
    conf = make_conf()

    with pytest.raises(ConfigurationError):
        conf.update(task_serializer="msgpack", worker_concurrency=-1)
    assert conf.task_serializer == "json"
    assert conf.origin("task_serializer") == "default"

    conf.keyspace = "kept"
    with pytest.raises(ConfigurationError):
        conf.update(keyspace="a b")
    assert (conf.keyspace, conf.origin("keyspace")) == ("kept", "conf assignment")

    conf.update({"task_serializer": "msgpack"}, worker_concurrency=3)
    assert (conf.task_serializer, conf.worker_concurrency) == ("msgpack", 3)


def test_a_bad_value_in_one_place_names_every_bad_setting_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_conf(worker_concurrency=-1, result_expires="soon")

    assert str(caught.value).count("Setting worker_concurrency") == 1
    assert str(caught.value).count("Setting result_expires") == 1


def test_layers_win_in_order_and_say_where_each_value_comes_from() -> None:
    source = {"keyspace": "source", "task_default_queue": "source", "worker_concurrency": 1}
    conf = Conf(
        {"keyspace": "argument", "worker_concurrency": 2, "broker_url": "redis://a"},
        origins={"broker_url": "broker"},
        environ={"WINDLASS_WORKER_CONCURRENCY": "4"},
    )
    conf.load(source)
    conf.update(worker_concurrency=3, task_track_started=True)

    assert named(conf, "task_default_queue") == ("source", "config_from_object('dict')")
    assert named(conf, "keyspace") == ("argument", "argument keyspace=")
    assert named(conf, "broker_url") == ("redis://a", "argument broker=")
    assert named(conf, "task_track_started") == (True, "conf.update")
    assert named(conf, "worker_concurrency") == (4, "environment WINDLASS_WORKER_CONCURRENCY")
    assert named(conf, "task_serializer") == ("json", "default")

    conf.override({"worker_concurrency": 8}, lambda _: "flag --concurrency")

    assert named(conf, "worker_concurrency") == (8, "flag --concurrency")


def named(conf: Conf, name: str) -> tuple[object, str]:
    return conf[name], conf.origin(name)


def test_config_from_object_resets_what_was_assigned_before_and_keeps_arguments() -> None:
    conf = make_conf(keyspace="kept")
    conf.update(task_track_started=True)
    conf.load({"task_default_queue": "first"})
    conf.load({"task_serializer": "msgpack"})

    assert (conf.task_track_started, conf.task_default_queue) == (False, "default")
    assert (conf.keyspace, conf.task_serializer) == ("kept", "msgpack")


def test_forgetting_an_assignment_shows_the_layer_below() -> None:
    conf = make_conf(keyspace="below")
    conf.keyspace = "above"

    del conf["keyspace"]

    assert conf.keyspace == "below"
    with pytest.raises(KeyError):
        del conf["keyspace"]


def test_a_named_object_is_read_when_a_setting_is_first_needed(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("lazy_settings", "task_default_queue = 'lazy'")
    conf = make_conf()

    conf.load("lazy_settings")

    assert "lazy_settings" not in sys.modules
    assert conf.task_default_queue == "lazy"
    assert "lazy_settings" in sys.modules


def test_a_thread_that_comes_while_the_object_is_read_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A web server's first requests: none of them may see the defaults."""
    conf = make_conf()
    seen: list[str] = []

    class Source:
        @property
        def keyspace(self) -> str:
            other.start()
            other.join(timeout=0.1)  # it waits for us: it could only end with the wrong answer
            return "read"

    other = threading.Thread(target=lambda: seen.append(conf.keyspace))
    module = types.ModuleType("source_of_the_test")
    module.settings = Source()
    monkeypatch.setitem(sys.modules, module.__name__, module)
    conf.load("source_of_the_test:settings")

    seen.append(conf.keyspace)
    other.join()

    assert seen == ["read", "read"]


def test_an_assignment_after_a_lazy_object_wins_over_it(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("overridden_settings", "task_default_queue = 'from-module'")
    conf = make_conf()
    conf.load("overridden_settings")

    conf.task_default_queue = "assigned"

    assert conf.task_default_queue == "assigned"


def test_an_object_that_cannot_be_read_says_so_at_every_access() -> None:
    conf = make_conf()
    conf.load("no_such_settings_module")

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="'no_such_settings_module'"):
            _ = conf.current

    conf.load("no_such_settings_module", silent=True)
    assert conf.task_default_queue == "default"


def test_after_freeze_only_what_tests_toggle_may_change() -> None:
    conf = make_conf()
    conf.freeze()

    conf.task_always_eager = True
    conf.update(task_eager_propagates=True, task_store_eager_result=True)

    assert conf.frozen
    assert {"task_always_eager", "task_eager_propagates", "task_store_eager_result"} == TOGGLES
    for change in (
        lambda: setattr(conf, "keyspace", "late"),
        lambda: conf.update(task_always_eager=False, keyspace="late"),
        lambda: conf.load({"keyspace": "late"}),
    ):
        with pytest.raises(ConfigurationError, match=r"Cannot change .*app\.close"):
            change()
    assert (conf.keyspace, conf.task_always_eager) == ("default", True)

    conf.thaw()
    conf.keyspace = "early"
    assert conf.keyspace == "early"


def test_every_change_gives_new_frozen_settings() -> None:
    conf = make_conf()
    before = conf.current

    conf.keyspace = "other"

    assert before is not conf.current
    assert before.keyspace == "default"
    with pytest.raises(ValueError, match="frozen"):
        conf.current.keyspace = "third"


def test_writing_into_a_read_dict_is_refused_instead_of_lost() -> None:
    conf = make_conf(broker_transport_options={"socket_timeout": 3})

    with pytest.raises(TypeError):
        conf.broker_transport_options["socket_timeout"] = 4
    assert conf.broker_transport_options == {"socket_timeout": 3}


def test_table_and_repr_hide_passwords_and_show_origins() -> None:
    conf = make_conf(
        {"WINDLASS_KEYSPACE": "shop"},
        broker_url="redis://user:s3cr:3t/@h@host:6379/0",
        broker_transport_options={"password": "s3cret-too"},
    )

    assert "s3cr" not in repr(conf)
    assert ("keyspace", "shop", "environment WINDLASS_KEYSPACE") in conf.table()
    assert len(conf) == len(conf.table(with_defaults=True))
    assert "broker_url: 'redis://user:***@host:6379/0' (argument broker_url=)" in conf.humanize()


def test_error_about_an_address_hides_its_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        make_conf(broker_url=["redis://:s3cret@host"], worker_concurrency=0)

    assert "worker_concurrency" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_celery_setting_without_meaning_is_accepted_and_reported() -> None:
    conf = make_conf(worker_prefetch_multiplier=1)
    conf.broker_pool_limit = 10

    assert conf.worker_prefetch_multiplier == 1
    assert {"broker_pool_limit", "worker_prefetch_multiplier"} == conf.ignored.keys()
    assert "no prefetch" in conf.ignored["worker_prefetch_multiplier"]
    with pytest.raises(AttributeError):
        _ = conf.worker_lost_wait


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("beat_scheduler", "windlass schedules"),
        ("redis_host", "result_backend"),
        ("mongodb_backend_settings", "result_backend"),
        ("security_key", "Messages are signed"),
    ],
)
def test_celery_setting_that_would_be_lost_is_refused_with_what_to_use(
    name: str, advice: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"Celery's setting {name} is not supp.*{advice}"):
        make_conf().update({name: {}})


def test_values_are_normalised() -> None:
    class Queue:
        name = "from-object"

    conf = make_conf(
        result_expires=timedelta(hours=1),
        task_queues=[Queue(), "plain"],
        accept_content=["json", "msgpack"],
        imports="shop.tasks, mail.tasks",
        timezone=UTC,
        worker_pool="processes",
        task_default_rate_limit=10,
        task_publish_retry_policy={"max_retries": None},
        broker_transport_options={"visibility_timeout": 3600, "socket_timeout": 5},
    )

    assert conf.result_expires == 3600
    assert conf.task_queues == ("from-object", "plain")
    assert frozenset({"json", "msgpack"}) == conf.accept_content
    assert conf.imports == ("shop.tasks", "mail.tasks")
    assert conf.timezone == "UTC"
    assert conf.worker_pool == "prefork"
    assert conf.task_default_rate_limit == "10"
    assert conf.broker_transport_options == {"socket_timeout": 5}
    assert conf.task_publish_retry_policy == {
        "max_retries": None,
        "interval_start": 0,
        "interval_step": 0.2,
        "interval_max": 1,
    }


def test_changes_lists_what_differs_from_the_defaults() -> None:
    conf = make_conf(keyspace="default", worker_concurrency=2)

    assert conf.changes == {"worker_concurrency": 2}


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Make modules that can be imported, and forgotten after the test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(text)
        # Undone by monkeypatch, whatever the import of the test leaves behind.
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        del sys.modules[name]

    return write
