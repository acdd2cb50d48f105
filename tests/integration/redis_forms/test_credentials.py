"""Users, and credentials in files that rotate as a mounted Kubernetes Secret does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from waiting import eventually
from windlass.brokers.publish_retry import PublishRetry
from windlass.brokers.redis import RedisBroker
from windlass.control_plane.users import user_rules
from windlass.errors import BrokerAccessError, OperationalError

SOON = 60  # seconds: bounds a failing test, never slows a passing one


class Secret:
    """A mounted Secret: files behind a link that is turned over at once, as the kubelet does."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._versions = 0

    def write(self, username: str, password: str) -> None:
        self._versions += 1
        version = self._folder / f"v{self._versions}"
        version.mkdir()
        (version / "username").write_text(username + "\n")
        (version / "password").write_text(password + "\n")
        link = self._folder / "next"
        link.symlink_to(version.name)
        os.replace(link, self._folder / "data")

    @property
    def options(self) -> dict[str, str]:
        data = self._folder / "data"
        return {"username_file": f"{data}/username", "password_file": f"{data}/password"}


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    return Secret(tmp_path / "secret")


@pytest.fixture
def server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    return start_redis({"requirepass": "admin"})


def set_user(server: RedisServer, name: str, password: str) -> None:
    client = server.client(password="admin")
    client.execute_command("ACL", "SETUSER", name, *user_rules("default", password))


def hang_up(server: RedisServer) -> None:
    """End every connection but the test's own."""
    client = server.client(password="admin")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")


def test_a_rotation_while_a_worker_runs_loses_nothing(
    server: RedisServer, secret: Secret, open_shop: Callable[..., Any]
) -> None:
    """The server has the new password first: until the file has it too, it is tried again."""
    secret.write("shop", "one")
    set_user(server, "shop", "one")
    shop = open_shop(
        broker_url=server.url, broker_transport_options=secret.options, result_backend="redis://",
        worker_lease_s=15,
    )  # fmt: skip
    shop.start_worker()
    held = shop.hold("over-the-rotation")
    before = shop.send(20)

    set_user(server, "shop", "two")
    hang_up(server)
    eventually(lambda: "broker_connection_lost" in shop.log(), SOON)
    shop.go("over-the-rotation")
    secret.write("shop", "two")
    after = shop.send(20, first=100)

    assert [r.get(timeout=SOON) for r in before] == [2 * n for n in range(20)]
    assert [r.get(timeout=SOON) for r in after] == [2 * n for n in range(100, 120)]
    assert held.get(timeout=SOON) == "over-the-rotation"
    assert sorted(shop.runs()) == sorted(r.id for r in (*before, *after))


def test_the_user_may_change_too(server: RedisServer, secret: Secret) -> None:
    secret.write("one", "a")
    set_user(server, "one", "a")
    broker = RedisBroker(server.url, options=secret.options)
    broker.ping()

    set_user(server, "two", "b")
    secret.write("two", "b")
    server.client(password="admin").execute_command("ACL", "DELUSER", "one")

    with pytest.raises(OperationalError, match="closed the connection"):
        broker.ping()  # it was ended with its user
    assert broker.links.call([_WHO]) == [b"two"]
    broker.close()


_WHO = b"*2\r\n$3\r\nACL\r\n$6\r\nWHOAMI\r\n"


async def test_async_calls_read_the_files_too(server: RedisServer, secret: Secret) -> None:
    secret.write("shop", "one")
    set_user(server, "shop", "two")
    retry = PublishRetry(max_retries=0)
    broker = RedisBroker(server.url, options=secret.options, retry=retry)
    with pytest.raises(OperationalError, match="They are read again at the next try"):
        await broker.async_links.call([b"*1\r\n$4\r\nPING\r\n"])

    secret.write("shop", "two")

    assert await broker.async_links.call([b"*1\r\n$4\r\nPING\r\n"]) == [b"PONG"]
    await broker.aclose()


def test_refused_files_are_named_and_tried_again_and_a_refused_password_is_not(
    server: RedisServer, secret: Secret
) -> None:
    secret.write("shop", "wrong")
    files = RedisBroker(server.url, options=secret.options)
    fixed = RedisBroker(server.url.replace("://", "://shop:wr0ng@"))

    with pytest.raises(
        OperationalError, match=r"refused the credentials in .*/username and "
    ) as no:
        files.ping()
    assert not isinstance(no.value, BrokerAccessError)
    with pytest.raises(BrokerAccessError) as refused:
        fixed.ping()
    assert "wr0ng" not in str(refused.value)


def test_a_file_that_is_not_mounted_yet_is_named(server: RedisServer, secret: Secret) -> None:
    broker = RedisBroker(server.url, options=secret.options)

    with pytest.raises(OperationalError, match=r"file .*/username cannot be read \(No such file"):
        broker.ping()
    secret.write("default", "admin")
    broker.ping()
    broker.close()


@pytest.mark.parametrize("form", ["unix://{}", "redis+socket://{}", "unix://{}?db=3"])
def test_unix_sockets_in_all_spellings_run_tasks(
    redis_server: RedisServer, open_shop: Callable[..., Any], form: str
) -> None:
    shop = open_shop(broker_url=form.format(redis_server.socket_path), result_backend="redis://")
    shop.start_worker()

    assert [r.get(timeout=SOON) for r in shop.send(5)] == [0, 2, 4, 6, 8]
