"""The contract with the operator: `to_env` renders what `from_env` reads."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.errors import ConfigurationError
from windlass.settings import Conf, Settings, from_env, settings_from_env, to_env
from windlass.settings.model import NAMES

# What an environment can hold: no NUL, no lone surrogates.
text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20
)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,20}", fullmatch=True)
seconds = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
counts = st.integers(min_value=1)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
serializers = st.sampled_from(["json", "msgpack", "pickle"])
contents = st.frozensets(
    st.sampled_from(["json", "msgpack", "pickle", "application/json", "application/x-msgpack"])
)
policies = st.fixed_dictionaries(
    {},
    optional={
        "max_retries": st.none() | st.integers(min_value=0),
        "interval_start": st.integers(min_value=0) | seconds,
        "interval_step": seconds,
        "interval_max": seconds,
    },
)
tls = st.none() | st.booleans() | st.just({"ssl_ca_certs": "/etc/redis/ca.crt"})

STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "broker_url": st.none() | text,
    "broker_connection_timeout": seconds,
    "broker_transport_options": st.dictionaries(text, json_values, max_size=3),
    "broker_use_ssl": tls,
    "broker_publish_confirm": st.sampled_from(["accepted", "replicated"]),
    "result_backend_transport_options": st.dictionaries(text, json_values, max_size=3),
    "redis_backend_use_ssl": tls,
    "broker_allow_eviction": st.booleans(),
    "keyspace": st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9])?", fullmatch=True),
    "max_deliveries": counts,
    "task_allow_error_cb_on_chord_header": st.booleans(),
    "imports": st.tuples(names, names),
    "include": st.just(()) | st.tuples(names),
    "task_default_queue": names,
    "task_default_priority": st.integers(0, 9),
    "task_default_rate_limit": st.none() | st.sampled_from(["10/s", "5/m", "100/h", "3"]),
    "task_queues": st.just(()) | st.tuples(names, names),
    "task_routes": st.none() | st.dictionaries(text, names, max_size=3) | st.lists(text),
    "task_create_missing_queues": st.booleans(),
    "task_join_lost_after": seconds,
    "worker_enable_remote_control": st.booleans(),
    "task_annotations": st.none() | st.dictionaries(text, st.dictionaries(text, seconds)),
    "task_compression": st.none() | st.sampled_from(["zlib", "gzip", "zstd"]),
    "result_compression": st.none() | st.sampled_from(["zlib", "zstd"]),
    "task_serializer": serializers,
    "accept_content": contents,
    "task_max_size_bytes": st.integers(min_value=1024),
    "task_ignore_result": st.booleans(),
    "task_store_errors_even_if_ignored": st.booleans(),
    "task_track_started": st.booleans(),
    "task_time_limit": st.none() | seconds,
    "task_soft_time_limit": st.none() | seconds,
    "task_acks_late": st.none() | st.booleans(),
    "task_checkpoint_interval": st.just(0) | seconds,
    "task_checkpoint_max_bytes": st.integers(min_value=1024),
    "task_always_eager": st.booleans(),
    "task_eager_propagates": st.booleans(),
    "task_store_eager_result": st.booleans(),
    "task_publish_retry": st.booleans(),
    "task_publish_retry_policy": policies,
    "timezone": st.none() | st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
    "enable_utc": st.booleans(),
    "result_backend": st.none() | text,
    "result_serializer": serializers,
    "result_accept_content": st.none() | contents,
    "result_expires": st.none() | st.just(0) | seconds,
    "result_extended": st.booleans(),
    "result_max_size_bytes": st.integers(min_value=1024),
    "worker_concurrency": st.none() | counts,
    "worker_pool": st.sampled_from(["prefork", "threads", "asyncio", "solo"]),
    "worker_max_tasks_per_child": st.none() | counts,
    "worker_max_memory_per_child": st.none() | counts,
    "worker_lease_s": seconds,
    "worker_drain_timeout": st.just(0) | seconds,
    "worker_disable_rate_limits": st.booleans(),
    "task_rate_limit_scope": st.sampled_from(["cluster", "worker"]),
    "worker_hijack_root_logger": st.booleans(),
    "worker_log_format": st.none() | text,
    "worker_log_color": st.none() | st.booleans(),
    "beat_schedule": st.dictionaries(
        text, st.dictionaries(text, json_values, max_size=2), max_size=2
    ),
    "beat_max_loop_interval": st.just(0) | seconds,
    "beat_cron_starting_deadline": st.none() | seconds,
    "message_signing": st.sampled_from(["off", "verify", "sign", "require"]),
    "message_signing_keys": st.none() | text,
    "message_encryption": st.sampled_from(["off", "decrypt", "encrypt", "require"]),
    "message_encryption_keys": st.none() | text,
}


def test_the_round_trip_below_covers_every_setting() -> None:
    assert STRATEGIES.keys() == NAMES


@given(st.fixed_dictionaries({}, optional=STRATEGIES))
def test_settings_survive_the_environment(values: dict[str, Any]) -> None:
    settings = Settings(**values)

    environ = to_env(settings)

    assert settings == settings_from_env(environ)
    assert all(name.startswith("WINDLASS_") and "\0" not in text for name, text in environ.items())


def test_only_what_differs_from_the_defaults_is_rendered_and_in_order() -> None:
    settings = Settings(
        worker_concurrency=4,
        keyspace="shop",
        task_queues=("a", "b"),
        accept_content=frozenset({"msgpack", "json"}),
        task_track_started=True,
        result_expires=None,
    )

    assert to_env(Settings()) == {}
    assert list(to_env(settings).items()) == [
        ("WINDLASS_ACCEPT_CONTENT", '["json", "msgpack"]'),
        ("WINDLASS_KEYSPACE", "shop"),
        ("WINDLASS_RESULT_EXPIRES", "null"),
        ("WINDLASS_TASK_QUEUES", '["a", "b"]'),
        ("WINDLASS_TASK_TRACK_STARTED", "true"),
        ("WINDLASS_WORKER_CONCURRENCY", "4"),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("1", True), ("yes", True), ("False", False), ("off", False), ("0", False)],
)
def test_a_boolean_may_be_written_as_people_write_it(text: str, expected: bool) -> None:
    conf = Conf(environ={"WINDLASS_TASK_TRACK_STARTED": text})

    assert expected is conf.task_track_started


def test_a_list_may_be_comma_separated_and_empty_means_not_set() -> None:
    conf = Conf(environ={"WINDLASS_TASK_QUEUES": "mail, bulk", "WINDLASS_BROKER_URL": ""})

    assert conf.task_queues == ("mail", "bulk")
    assert conf.broker_url is None
    assert conf.origin("broker_url") == "default"


def test_a_bad_value_names_the_variable() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"worker_concurrency is 'x' \(environment WINDLASS_WORKER_CONCURRENCY\)",
    ):
        Conf(environ={"WINDLASS_WORKER_CONCURRENCY": "x"})


def test_a_misspelt_variable_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"WINDLASS_BROKR_URL .* WINDLASS_BROKER_URL\?"):
        from_env({"WINDLASS_BROKR_URL": "redis://"})
    with pytest.raises(ConfigurationError, match="beat_scheduler is not supported"):
        Conf(environ={"WINDLASS_BEAT_SCHEDULER": "x"})


@pytest.mark.parametrize(
    "variable",
    [
        "WINDLASS_REDIS_SERVICE_HOST",
        "WINDLASS_REDIS_SERVICE_PORT_REDIS",
        "WINDLASS_BROKER_PORT",
        "WINDLASS_REDIS_PORT",
        "WINDLASS_BROKER_PORT_6379_TCP_ADDR",
        "WINDLASS_APP",
        "WINDLASS_ZZZ",
        "PATH",
    ],
)
def test_variables_that_are_no_settings_are_left_alone(variable: str) -> None:
    """Kubernetes injects variables for every Service, also one named windlass-something."""
    assert from_env({variable: "tcp://10.0.0.1:6379"}) == {}


def test_what_cannot_be_written_as_text_is_refused() -> None:
    settings = Settings(task_routes={re.compile("a.*"): "a"})

    with pytest.raises(ConfigurationError, match="task_routes cannot be put"):
        to_env(settings)
