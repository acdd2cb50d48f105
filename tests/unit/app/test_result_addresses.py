"""Where results are: the broker's own database, another Redis, or nowhere that is supported."""

from __future__ import annotations

import pytest

from windlass import connections
from windlass.errors import ConfigurationError
from windlass.settings import Settings


@pytest.mark.parametrize(
    ("broker", "backend"),
    [
        ("redis://h", "redis://"),
        ("redis://h:6379/0", "redis://h"),
        ("redis://user:pw@H/2", "redis://h:6379/2?socket_timeout=3"),
        ("redis://localhost", "redis://127.0.0.1:6379/0"),
        ("rediss://h:6380/1", "rediss://h:6380/1"),
        ("unix:///tmp/r.sock?db=1", "redis+socket:///tmp/r.sock?virtual_host=1"),
    ],
)
def test_backend_on_the_brokers_own_database_is_accepted(broker: str, backend: str) -> None:
    assert not connections.is_elsewhere(Settings(broker_url=broker, result_backend=backend))


@pytest.mark.parametrize(
    ("broker", "backend"),
    [
        ("sentinel://a?master_name=m", "sentinel://a?master_name=other"),
        ("redis://h/0", "redis://h/1"),
        ("redis://h", "redis://other"),
        ("redis://h:6379", "redis://h:6380"),
        ("unix:///a.sock", "unix:///b.sock"),
        ("redis://localhost", "unix:///a.sock"),
    ],
)
def test_backend_on_another_database_is_accepted_and_copied_to(broker: str, backend: str) -> None:
    assert connections.is_elsewhere(Settings(broker_url=broker, result_backend=backend))


@pytest.mark.parametrize(
    ("broker", "options", "backend"),
    [
        ("sentinel://a;b/1?master_name=m", {}, "sentinel://b:26379;sentinel://a:26379/1"),
        ("redis+cluster://a,b", {}, "redis+cluster://b:6379;a"),
        ("rediss+cluster://a", {"socket_timeout": 3}, "rediss+cluster://user:pw@a"),
    ],
)
def test_backend_in_the_brokers_own_group_of_servers_is_no_other_one(
    broker: str, options: dict[str, object], backend: str
) -> None:
    settings = Settings(
        broker_url=broker,
        broker_transport_options=options,
        result_backend=backend,
        result_backend_transport_options={"master_name": "m"} if "sentinel" in backend else {},
    )

    assert not connections.is_elsewhere(settings)


def test_tls_settings_make_the_address_speak_tls() -> None:
    settings = Settings(broker_url="redis://h", broker_use_ssl={"ssl_ca_certs": "/ca.crt"})

    assert connections.broker_address(settings) == "rediss://h"


@pytest.mark.parametrize("backend", ["rpc://", "db+sqlite:///r.db", "django-db", "cache+memory://"])
def test_backend_of_another_kind_is_refused_with_what_is_supported(backend: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Setting result_backend is .*redis://.* later"):
        connections.check_backend(Settings(broker_url="redis://h", result_backend=backend))


def test_a_broker_in_memory_has_no_replica_to_confirm_a_call() -> None:
    with pytest.raises(ConfigurationError, match="a broker in memory has no replica"):
        connections.make_broker(
            Settings(broker_url="memory://", broker_publish_confirm="replicated")
        )
