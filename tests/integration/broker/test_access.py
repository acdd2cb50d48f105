"""Users with fewer rights than everything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker_state import ids_of, send
from builders import make_message
from redis_server import RedisServer
from windlass.brokers.base import FetchRequest
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.errors import BrokerAccessError
from windlass.results.redis import RedisResults

MakeUser = Callable[..., RedisBroker]
REQUEST = FetchRequest(worker_id="w", queues=("q",), want=5, lease_ms=15_000, wait_ms=5_000)


@pytest.fixture
def with_rights(redis_server: RedisServer) -> Iterator[MakeUser]:
    client = redis_server.client()

    def make(*rules: str) -> RedisBroker:
        client.execute_command(
            "ACL", "SETUSER", "shop", "reset", "on", ">pw", "~*", "&*", "+@all", *rules
        )
        return RedisBroker(f"redis://shop:pw@127.0.0.1:{redis_server.port}")

    yield make
    client.execute_command("ACL", "DELUSER", "shop")


def test_without_info_the_check_says_that_it_could_not_look(with_rights: MakeUser) -> None:
    health = with_rights("-info").check()

    assert (health.version, health.role, health.maxmemory_policy) == (None, None, None)
    assert "could not be checked" in health.warnings[0]


@pytest.mark.parametrize(
    "rules",
    [("-client",), ("-client", "+client|id"), ("-client", "+client|unblock")],
    ids=["no-client-command", "may-not-unblock", "may-not-ask-for-its-id"],
)
def test_waiting_works_without_the_right_to_call_it_off(
    with_rights: MakeUser, rules: tuple[str, ...]
) -> None:
    broker = with_rights(*rules)

    for id_ in ("a", "b"):
        fetched = broker.wait(REQUEST, 0.01)
        assert fetched is not None
        assert ids_of(fetched) == []
        send(broker, id_)
        fetched = broker.wait(REQUEST, 0.01)
        assert fetched is not None
        assert ids_of(fetched) == [id_]
    broker.close()


def documented_rights() -> list[str]:
    page = Path(__file__).parents[3] / "docs" / "reference" / "redis-keys.md"
    block = re.search(r"^user shop on >password (.*?)^```", page.read_text(), re.M | re.S)
    assert block
    return block[1].split()


def test_the_rights_that_the_documentation_names_are_enough(redis_server: RedisServer) -> None:
    redis_server.client().execute_command(
        "ACL", "SETUSER", "documented", "reset", "on", ">password", *documented_rights()
    )
    broker = RedisBroker(
        f"redis://documented:password@127.0.0.1:{redis_server.port}", keyspace="shop"
    )

    send(broker, "a")
    fetched = broker.wait(REQUEST, 0.01)
    assert fetched is not None
    assert ids_of(fetched) == ["a"]
    assert broker.check().version is not None
    assert broker.revoke(["a"], terminate=True) == {"a": "LEASED"}
    broker.close()


def test_a_command_that_is_not_allowed_is_named_at_once(with_rights: MakeUser) -> None:
    broker = with_rights("-evalsha")
    broker.retry = PublishRetry(max_retries=10**9, interval_step=60.0)

    with pytest.raises(BrokerAccessError, match=r"evalsha.*ACL"):
        broker.enqueue([make_message()])


def test_a_wait_for_a_result_with_a_wrong_password_fails_and_does_not_hang(
    redis_server: RedisServer, with_rights: MakeUser
) -> None:
    with_rights()
    broker = RedisBroker(f"redis://shop:wrong@127.0.0.1:{redis_server.port}")
    results = RedisResults(broker.links, broker.async_links, broker.keys)

    with pytest.raises(BrokerAccessError):
        results.wait_raw(["a"], None)
    results.close()
