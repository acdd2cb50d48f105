"""TLS: what is trusted, what is refused, and whether the words say what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from redis_tls import Authority, TlsServer
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerAccessError, ConfigurationError, OperationalError

SOON = 60  # seconds: bounds a failing test, never slows a passing one


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[TlsServer]:
    """Asks clients for certificates, and for a user."""
    with TlsServer(authority, asks_clients=True) as started:
        started.client().acl_setuser(
            "shop", True, passwords=["+pa;ss"], keys=["*"], channels=["*"], categories=["+@all"]
        )
        yield started


@pytest.fixture(scope="module")
def client(authority: Authority) -> dict[str, str]:
    """What a client has to say to that server."""
    cert, key = authority.issue("client")
    return {"ssl_ca_certs": authority.certificate, "ssl_certfile": cert, "ssl_keyfile": key}


def ping(url: str, **options: object) -> None:
    broker = RedisBroker(url, options=options)
    try:
        broker.ping()
    finally:
        broker.close()


def test_tasks_run_over_tls_with_a_client_certificate_and_a_user(
    server: TlsServer, client: dict[str, str], open_shop: Callable[..., Any]
) -> None:
    url = server.url.replace("://", "://shop:pa%3Bss@").replace("rediss", "redis")
    shop = open_shop(
        broker_url=url, broker_use_ssl={**client, "ssl_cert_reqs": "CERT_REQUIRED"},
        result_backend="redis://",
    )  # fmt: skip
    worker = shop.start_worker()

    results = shop.send(20)
    large = shop.app.send_task("forms_tasks.add", ("a" * 300_000, "b" * 300_000))

    assert [r.get(timeout=SOON) for r in results] == [2 * n for n in range(20)]
    assert len(large.get(timeout=SOON)) == 600_000
    worker.terminate()
    assert worker.wait(SOON) == 0, shop.log()


async def test_async_calls_speak_tls(
    server: TlsServer, client: dict[str, str], open_shop: Callable[..., Any]
) -> None:
    shop = open_shop(broker_url=server.url, broker_use_ssl=client, result_backend="redis://")

    @shop.app.task(name="forms_tasks.add")
    def add(x: int, y: int) -> int: ...

    shop.start_worker()
    result = await add.adelay(1, 2)

    assert await result.aget(timeout=SOON) == 3
    await shop.app.aclose()


def test_options_may_be_in_the_query_of_the_address(
    server: TlsServer, client: dict[str, str]
) -> None:
    ping(f"{server.url}?" + "&".join(f"{name}={value}" for name, value in client.items()))


def test_a_server_of_another_authority_is_refused_with_the_option_to_set(
    server: TlsServer, client: dict[str, str], stranger: Authority
) -> None:
    with pytest.raises(BrokerAccessError, match=r"not trusted here.*ssl_ca_certs="):
        ping(server.url, **{**client, "ssl_ca_certs": stranger.certificate})
    with pytest.raises(BrokerAccessError, match=r"not trusted here.*ssl_ca_certs="):
        ping(server.url)


def test_a_missing_client_certificate_is_named(server: TlsServer, authority: Authority) -> None:
    with pytest.raises(BrokerAccessError, match=r"asks for a client certificate.*ssl_certfile="):
        ping(server.url, ssl_ca_certs=authority.certificate)


def test_a_client_certificate_of_another_authority_is_refused_by_the_server(
    server: TlsServer, authority: Authority, stranger: Authority
) -> None:
    cert, key = stranger.issue("client")

    with pytest.raises(BrokerAccessError, match=r"does not trust the certificate authority of the"):
        ping(server.url, ssl_ca_certs=authority.certificate, ssl_certfile=cert, ssl_keyfile=key)


def test_an_expired_certificate_of_the_server_says_so(authority: Authority) -> None:
    with (
        TlsServer(authority, authority.issue("expired", days=-1)) as server,
        pytest.raises(BrokerAccessError, match=r"certificate of the broker at .* has expired"),
    ):
        ping(server.url, ssl_ca_certs=authority.certificate)


def test_a_certificate_for_another_name_says_so_and_the_check_can_be_left_out(
    server: TlsServer, client: dict[str, str]
) -> None:
    elsewhere = server.url.replace("127.0.0.1", "127.0.0.2")
    with pytest.raises((BrokerAccessError, OperationalError)):
        ping(elsewhere, **client)
    unnamed = server.url.replace("127.0.0.1", "ip6-localhost")
    with pytest.raises((BrokerAccessError, OperationalError)):
        ping(unnamed, **client)


def test_tls_to_a_plain_port_and_a_plain_client_at_a_tls_port_are_told(
    server: TlsServer, redis_url: str
) -> None:
    with pytest.raises(OperationalError, match=r"handshake .*timed out.*TLS setting"):
        ping(redis_url.replace("redis://", "rediss://"), socket_connect_timeout=0.3)
    with pytest.raises(OperationalError, match=r"TLS setting"):
        ping(server.url.replace("rediss://", "redis://"))


def test_a_file_that_is_not_there_is_named(server: TlsServer, tmp_path: Path) -> None:
    with pytest.raises(OperationalError, match=r"certificate authority \(/no/ca.crt\) cannot be"):
        ping(server.url, ssl_ca_certs="/no/ca.crt")
    with pytest.raises(OperationalError, match=r"client certificate \(/no/a and /no/b\) cannot be"):
        ping(server.url, ssl_certfile="/no/a", ssl_keyfile="/no/b")


def test_tls_options_with_an_address_without_tls_are_an_error_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_ca_certs is given.*rediss://"):
        RedisBroker("redis://h", options={"ssl_ca_certs": "/ca.crt"})
